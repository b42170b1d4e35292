//! What the command can do, one verb a file.

pub(crate) mod bridge;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod info;
pub(crate) mod listen;
pub(crate) mod record;
pub(crate) mod relay;
pub(crate) mod replay;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod top;
pub(crate) mod view;
