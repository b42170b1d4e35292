//! Commands: those that are allowed, and no others.

use serde_json::json;

use super::View;

#[test]
fn allowed_commands_are_sent_and_others_are_not() {
    let (view, vehicle) = View::of_vehicle(&["--allow", "time_lap,hazard"]);
    let mut page = view.page();
    assert_eq!(page.hello["commands"], json!(["time_lap", "hazard"]));
    page.say(json!({ "type": "command", "name": "m1" }));
    let told = page.find("commanded", |_| true);
    assert_eq!((&told["name"], &told["ok"]), (&json!("m1"), &json!(false)));
    assert!(told["error"].as_str().unwrap().contains("--allow"), "{told}");
    page.say(json!({ "type": "command", "name": "time_lap" }));
    let told = page.find("commanded", |_| true);
    assert_eq!((&told["name"], &told["ok"], &told["error"]), (&json!("time_lap"), &json!(true), &json!(null)));

    let refused = view.post("/command", r#"{"name":"time_lap;m1"}"#);
    assert_eq!((refused.status, &refused.json()["ok"]), (403, &json!(false)));
    let sent = view.post("/command", r#"{"name":"hazard"}"#);
    assert_eq!((sent.status, sent.json()), (200, json!({ "ok": true })));
    for body in ["", "hazard", "[]", "{}", r#"{"name":7}"#] {
        assert_eq!(view.post("/command", body).status, 400, "{body}");
    }
    // Nothing changes by asking for a page.
    assert_eq!(view.get("/command?name=hazard").status, 405);
    vehicle.expect("time_lap;hazard;");
}

#[test]
fn none_is_allowed_unless_it_is_named() {
    let (view, _vehicle) = View::of_vehicle(&[]);
    assert_eq!(view.post("/command", r#"{"name":"time_lap"}"#).status, 403);
}

#[test]
fn a_command_needs_a_connection() {
    let address = leads_comm_testing::wire::unused_address();
    let view = View::start(&[&address, "--monitor", "none", "--allow", "time_lap"]);
    let answer = view.post("/command", r#"{"name":"time_lap"}"#);
    assert_eq!((answer.status, &answer.json()["error"]), (503, &json!("the vehicle is not connected")));
}

#[test]
fn what_a_page_says_besides_is_passed_over() {
    let (view, vehicle) = View::of_vehicle(&["--allow", "time_lap"]);
    let mut page = view.page();
    for said in [json!(7), json!({}), json!({ "type": "seek", "at": 0 }), json!({ "type": "command" })] {
        page.say(said);
    }
    page.say(json!({ "type": "command", "name": "time_lap" }));
    page.find("commanded", |told| told["ok"] == true);
    vehicle.expect("time_lap;");
}
