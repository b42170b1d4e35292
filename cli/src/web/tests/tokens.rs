//! Who has to show a token, and how.

use super::super::server::needed_token;
use super::*;

const TOKEN: &str = "correct horse battery staple";
const ENCODED: &str = "correct%20horse%20battery%20staple";

fn guarded() -> WebServer {
    web().token(Some(TOKEN.into())).start().unwrap()
}

fn cookie(answer: &str) -> &str {
    let cookie = answer.split("\r\n").find_map(|line| line.strip_prefix("Set-Cookie: ")).expect(answer);
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    cookie.split(';').next().unwrap()
}

#[test]
fn a_browser_gets_a_cookie_and_the_token_leaves_the_address() {
    let web = guarded();
    assert!(web.url().ends_with(&format!("/?token={ENCODED}")), "{}", web.url());
    let answer = ask(&web, get(&format!("/?token={ENCODED}&dark=1"), "Accept: text/html,*/*\r\n"));
    assert_eq!(status(&answer), 302);
    assert!(answer.contains("\r\nLocation: /?dark=1\r\n") && !answer.contains("horse"), "{answer}");
    let cookie = cookie(&answer);
    assert!(!cookie.contains("horse"), "the token is not sent to other services of this host: {cookie}");
    let answer = ask(&web, get("/echo", &format!("Cookie: other=1; {cookie}; last=2\r\n")));
    assert!(answer.ends_with("Get /echo [] None \"\"\n"), "{answer}");
}

/// What a program is called with, everybody on the machine can see.
#[test]
fn a_browser_that_is_opened_is_told_what_is_good_once() {
    let web = guarded();
    let url = web.url_for_once();
    assert!(!url.contains("horse"), "{url}");
    let target = &url[url.rfind('/').unwrap()..];
    let open = || ask(&web, get(target, "Accept: text/html\r\n"));
    let answer = open();
    assert_eq!(status(&answer), 302);
    assert_eq!(status(&ask(&web, get("/echo", &format!("Cookie: {}\r\n", cookie(&answer))))), 200);
    assert_eq!(status(&open()), 401);
    // Where no token is asked for, there is nothing to show.
    assert!(start().url_for_once().ends_with('/'));
}

#[test]
fn programs_show_it_in_a_header_or_in_the_query() {
    let web = guarded();
    assert_eq!(status(&ask(&web, get("/echo", &format!("Authorization: Bearer {TOKEN}\r\n")))), 200);
    let answer = ask(&web, get(&format!("/echo?a=1&token={ENCODED}"), "Accept: */*\r\n"));
    assert!(answer.ends_with("Get /echo [(\"a\", \"1\")] None \"\"\n"), "a site does not see it: {answer}");
}

#[test]
fn everybody_else_is_refused() {
    let web = guarded();
    let port = web.address().port();
    for (target, headers) in [
        ("/", String::new()),
        ("/nothing", String::new()),
        ("/?token=", String::new()),
        ("/?token=correct", String::new()),
        ("/?Token=correct%20horse%20battery%20staple", String::new()),
        ("/", format!("Authorization: {TOKEN}\r\n")),
        ("/", format!("Authorization: Basic {TOKEN}\r\n")),
        ("/", "Authorization: Bearer wrong\r\n".to_owned()),
        ("/", format!("Cookie: leads-comm-{port}={TOKEN}\r\n")),
        ("/", format!("Cookie: leads-comm-{port}=\r\n")),
    ] {
        let answer = ask(&web, get(target, &headers));
        assert_eq!(status(&answer), 401, "{target} {headers}");
        assert!(answer.contains("WWW-Authenticate: Bearer\r\n") && !answer.contains("horse"), "{answer}");
    }
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    assert_eq!(status(&ask(&web, get("/", upgrade))), 401);
}

#[test]
fn tokens_that_could_be_guessed_or_not_be_typed_are_refused() {
    for token in [&b""[..], b"secret", b"two\nlines of it", b" spaces around it ", b"no text \xff\xff\xff\xff"] {
        let error = web().token(Some(token.into())).start().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with("the token of the page "), "{error}");
    }
}

/// Tests listen on loopback only, so this is asked without listening.
#[test]
fn beyond_loopback_a_token_is_made() {
    let needed = |address: &str| needed_token(None, address.parse().unwrap()).unwrap();
    for loopback in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(needed(loopback), None, "{loopback}");
    }
    for beyond in ["0.0.0.0", "::", "192.168.1.7", "fe80::1", "::ffff:192.168.1.7"] {
        let (token, another) = (needed(beyond).unwrap(), needed(beyond).unwrap());
        assert!(token.len() >= 32 && token != another, "{beyond}: {token}");
    }
    assert!(!start().url().contains('?'), "none is asked for on loopback");
}
