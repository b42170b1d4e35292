//! Whatever a vehicle sends is shown, as text or bytes, and harms nobody.

use serde_json::{Value, json};

use super::View;

#[test]
fn hostile_messages_are_shown_as_what_they_are() {
    let (view, vehicle) = View::of_vehicle(&[]);
    let mut page = view.page();
    let deep = format!("{{\"a\":{}", "[".repeat(10_000));
    let long = "x".repeat(1 << 20);
    let messages: [&[u8]; 9] = [
        b"<script>alert(1)</script>",
        long.as_bytes(),
        b"\xff\xfe\0\x80",
        deep.as_bytes(),
        br#"{"speed":1e400}"#,
        br#"{"speed":-1e400}"#,
        b"",
        br#""</script>\u0000"#,
        "\u{202e}\u{0}\u{1b}[2J".as_bytes(),
    ];
    messages.iter().for_each(|message| vehicle.write([message, &b";"[..]].concat()));
    let raw = page.find("raw", |raw| raw["total"] == 9);
    let shown = raw["messages"].as_array().unwrap();
    assert_eq!(shown[0]["text"], "<script>alert(1)</script>");
    assert_eq!((&shown[1]["len"], &shown[1]["cut"]), (&json!(1 << 20), &json!(true)));
    assert_eq!(shown[1]["text"].as_str().unwrap().len(), 2048);
    assert_eq!((&shown[2]["base64"], &shown[2]["text"]), (&json!("//4AgA=="), &Value::Null));
    assert_eq!(shown[4]["text"], r#"{"speed":1e400}"#);
    assert_eq!(shown[6]["text"], "");
    assert_eq!(shown[8]["text"], "\u{202e}\u{0}\u{1b}[2J");
    let state = page.find("state", |state| state["messages"] == 9);
    assert_eq!(state["not_json"], 9);
    assert_eq!(view.get("/history").json()["t"], json!([]));
    // What is right between them is seen; so are the frames of a Python that has no number.
    vehicle.write(r#"{"speed":NaN,"voltage":Infinity,"yaw":-0.5};{"<img src=x>":18446744073709551616};"#);
    page.find_sample("yaw", -0.5);
    page.find_sample("<img src=x>", 18_446_744_073_709_551_616.0);
    let fields = view.page().find("fields", |_| true);
    assert!(!fields.to_string().contains("voltage"), "{fields}");
}

#[test]
fn there_is_an_end_to_how_many_fields_there_are() {
    let (view, vehicle) = View::of_vehicle(&[]);
    let mut page = view.page();
    let object: serde_json::Map<String, Value> = (0..600).map(|n| (format!("f{n:03}"), n.into())).collect();
    vehicle.write(format!("{};", Value::from(object)));
    let fields = page.find("fields", |fields| fields["fields"].as_array().unwrap().len() > 1);
    assert_eq!((fields["fields"].as_array().unwrap().len(), &fields["more"]), (500, &json!(100)));
    vehicle.write(r#"{"f007":-1,"other":1};"#);
    page.find_sample("f007", -1.0);
}
