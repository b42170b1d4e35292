//! What has gone through a bridge, in numbers.

use std::ops::AddAssign;

/// The numbers of a bridge, since it was built: see [`Bridge::stats`](crate::Bridge::stats).
///
/// Messages are those of the vehicle; what the bridge says of itself, and the fields of
/// [`split_fields`](crate::BridgeBuilder::split_fields), are in none of the numbers. Of what was accepted each message
/// is in the end *published* live, or has come out of the backlog and is *replayed*, or is *dropped* or *lost*:
///
/// ```text
/// accepted  =  published + replayed + dropped + lost + waiting + queued
/// ```
///
/// where nothing is on its way, and nothing was in the folder of the spool before. What was published and has come
/// back, because the session ended before it was written or acknowledged, is published no more; with QoS 0 what the
/// system had taken by then is published, and nobody knows whether it has arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Whether there is a session with the broker.
    pub is_online: bool,
    /// How many sessions there were.
    pub sessions: u64,
    /// Messages that [`publish`](crate::Bridge::publish) has taken, or the [callback](crate::Bridge) was given.
    pub accepted: u64,
    /// Messages that went to the broker as they came.
    pub published: u64,
    /// Messages that the broker has out of the backlog, and says so.
    pub replayed: u64,
    /// Messages that the broker has acknowledged, live or out of the backlog.
    pub acknowledged: u64,
    /// Up to which [number](crate::Bridge::publish) it is settled what has become of all messages: the broker has
    /// acknowledged them, they wait in the backlog, or had to go because there was no room; with QoS 0, they were handed
    /// to the client. A message that the disk did not take, and what came behind it, never are.
    ///
    /// With [`Offline::Spool`](crate::Offline::Spool), [`acknowledged`](crate::BridgeBuilder::acknowledged) and
    /// [`publish_blocking`](crate::Bridge::publish_blocking), for which none has to go, this is what survives the end of
    /// the process: the program that has the messages need not keep these any longer.
    pub settled: u64,
    /// Messages that were dropped because there was no session and nothing [waits](crate::Offline::Drop), because more
    /// came than the broker takes, or because the [callback](crate::Bridge) was given one that is too long, or that
    /// came before the start or after the end.
    pub dropped: u64,
    /// Messages that were to wait and do not: the oldest where the backlog had no room, those that a disk did not take,
    /// those that came faster than it takes them; and, where nothing waits, those that were published and came back.
    pub lost: u64,
    /// Messages that wait in the backlog now.
    pub waiting: u64,
    /// What those take of memory or of the disk, in bytes.
    pub waiting_bytes: u64,
    /// Messages that wait for the thread that sends now.
    pub queued: u64,
    /// What those are charged, in bytes: see [`max_live_bytes`](crate::BridgeBuilder::max_live_bytes).
    pub queued_bytes: u64,
    /// Commands that were given to the program.
    pub commands_passed: u64,
    /// Commands that are not on the list of what may come, or were retained.
    pub commands_refused: u64,
}

/// Those that only grow. Adding up is all that is done with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) sessions: u64,
    pub(crate) accepted: u64,
    pub(crate) published: u64,
    /// Of those that were published, the ones that came back.
    pub(crate) returned: u64,
    pub(crate) replayed: u64,
    pub(crate) acknowledged: u64,
    pub(crate) dropped: u64,
    /// Without those of the spool, which counts its own.
    pub(crate) lost: u64,
    pub(crate) commands_passed: u64,
    pub(crate) commands_refused: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.accepted += other.accepted;
        self.published += other.published;
        self.returned += other.returned;
        self.replayed += other.replayed;
        self.acknowledged += other.acknowledged;
        self.dropped += other.dropped;
        self.lost += other.lost;
        self.commands_passed += other.commands_passed;
        self.commands_refused += other.commands_refused;
    }
}
