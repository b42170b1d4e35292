//! WebSockets for [`leads_comm`]: a browser is a client of a server like any other, with the same limits, policies and
//! counters.
