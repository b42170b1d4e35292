//! What systems show of the names of threads, of which they cut all but 15 bytes off.

use std::collections::BTreeSet;
use std::fs;

use leads_comm::{Client, Server};
use leads_comm_testing::{alone, until};

/// Services of one process on like ports, with like peers.
#[test]
fn what_is_shown_of_names_tells_threads_apart() {
    alone!();
    let servers = [0, 1].map(|_| {
        let server = Server::builder().port(0).build().unwrap();
        server.start(true).unwrap();
        server
    });
    let clients = [0, 1, 0, 0, 1].map(|server: usize| {
        let client = Client::builder().port(servers[server].port()).build().unwrap();
        client.start("127.0.0.1", true).unwrap();
        client
    });
    until("all are there", || servers.iter().map(Server::num_connections).sum::<usize>() == clients.len());
    // Two threads of each service, and a reader of each connection.
    let expected = 2 * (servers.len() + clients.len()) + clients.len();
    // Until a thread has given itself its name, it is shown by that of the thread that started it.
    until("each thread has a name of its own", || {
        let names = shown();
        names.len() == expected && names.iter().collect::<BTreeSet<_>>().len() == expected
    });
    clients.iter().for_each(Client::close);
    servers.iter().for_each(Server::close);
}

/// The names of the library's threads.
fn shown() -> Vec<String> {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let names = threads.filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).filter(|name| name.starts_with("lc")).collect()
}
