//! The command as a process, and what surrounds it.
