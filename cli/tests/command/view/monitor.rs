//! The numbers of the vehicle's own service, where it says them.

use leads_comm_testing::wire::{Listening, unused_address};
use serde_json::json;

use super::View;

#[test]
fn what_a_monitor_says_is_shown_and_that_it_says_nothing_any_more() {
    let monitor = Listening::start();
    let port = monitor.port;
    let view = View::start(&[&unused_address(), "--monitor", &monitor.address()]);
    let monitor = monitor.accept();
    let mut page = view.page();
    assert_eq!(page.hello["monitor"], format!("127.0.0.1:{port}"));
    let numbers = json!({ "version": 1, "connections": [{ "id": 1, "peer": "<b>", "state": "live" }] });
    monitor.write(format!("{numbers}\n"));
    let peers = page.find("peers", |_| true);
    assert_eq!((&peers["numbers"], &peers["error"], &peers["left_out"]), (&numbers, &json!(null), &json!(0)));
    // One that comes later is told as well.
    view.page().find("peers", |peers| peers["numbers"] == numbers);
    // As of a service that is stopped, or that cannot be reached any more.
    page.find("peers", |peers| peers["error"] == "no more numbers come" && peers["numbers"] == numbers);
    monitor.write("hello\n");
    page.find("peers", |peers| peers["error"] == "what answers there is no monitor of leads-comm");
    monitor.reset();
    page.find("peers", |peers| peers["error"].as_str().is_some_and(|error| !error.contains("no monitor")));
    let monitor = Listening::start_on(port).accept();
    monitor.write(format!("{numbers}\n"));
    page.find("peers", |peers| peers["error"].is_null() && peers["numbers"] == numbers);
}

#[test]
fn it_is_looked_for_beside_the_vehicle_and_not_missed() {
    let view = View::start(&["127.0.0.1:1"]);
    assert_eq!(view.page().hello["monitor"], "127.0.0.1:10");
    let view = View::start(&["127.0.0.1:1", "--monitor", "none"]);
    assert_eq!(view.page().hello["monitor"], json!(null));
}
