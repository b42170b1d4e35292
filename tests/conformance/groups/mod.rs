//! The cases, by topic.

mod again;
mod callbacks;
mod callers;
mod closing;
mod cuts;
mod endings;
mod framing;
mod goodbye;
mod lengths;
mod limits;
mod sending;
mod several;
mod slow;
mod time;

use crate::group::Group;

pub(crate) fn all() -> Vec<Group> {
    vec![
        Group::new(1, "framing: how bytes become messages", framing::fill),
        Group::new(2, "cuts: segments mean nothing", cuts::fill),
        Group::new(3, "limits: how long a message may be", limits::fill),
        Group::new(4, "goodbye: what is one, and what follows", goodbye::fill),
        Group::new(5, "endings: without a goodbye", endings::fill),
        Group::new(6, "sending: what was accepted, and nothing else", sending::fill),
        Group::new(7, "closing: everything, the goodbye, the end", closing::fill),
        Group::new(8, "slow peers: policies", slow::fill),
        Group::new(9, "callbacks: order, and what a program may do in them", callbacks::fill),
        Group::new(10, "several peers: each by itself", several::fill),
        Group::new(11, "time-outs: what would never come", time::fill),
        Group::new(12, "callers: who is not let in", callers::fill),
        Group::new(13, "connecting again: one connection after the other", again::fill),
        Group::new(14, "lengths: messages told apart by theirs", lengths::fill),
    ]
}
