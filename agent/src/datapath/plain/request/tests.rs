//! Heads of requests as they are read and written.

use super::*;

fn found(lines: &str) -> Found {
    Head::find(lines.replace('\n', "\r\n").as_bytes(), Limits::CLIENT)
}

fn plain(lines: &str) -> (Head, String) {
    let text = lines.replace('\n', "\r\n");
    let Found::Plain(head) = Head::find(text.as_bytes(), Limits::CLIENT) else {
        panic!("not plain: {lines}");
    };
    let added = Added {
        forwarded_for: b"x-forwarded-for: 192.0.2.1:7\r\n",
        forwarded_proto: b"x-forwarded-proto: http\r\n",
        call_id: b"x-call-id: id\r\n",
        start_time: b"x-start-time: 5\r\n",
    };
    let mut out = Vec::new();
    head.write(text.as_bytes(), &added, &mut out);
    (head, String::from_utf8(out).unwrap().replace("\r\n", "\n"))
}

#[test]
fn a_plain_head_is_written_anew() {
    let (head, out) = plain(
        "POST /function/echo.dev/a?x=%2e HTTP/1.1\nHost: h\nConnection: Keep-Alive\nContent-Length: 3\n\
         DFaaS-Node-ID: forged\nX-Start-Time: 1\nAuthorization: Basic x\n\nabc",
    );
    assert_eq!(head.body, 3);
    assert!(!head.close && !head.head_only);
    assert_eq!(
        out,
        "POST /function/echo.dev/a?x=%2e HTTP/1.1\nHost: h\nContent-Length: 3\nAuthorization: Basic x\n\
         x-forwarded-for: 192.0.2.1:7\nx-forwarded-proto: http\nx-forwarded-host: h\nx-call-id: id\nx-start-time: 5\n"
    );
}

#[test]
fn targets_are_passed_on_as_they_are() {
    for target in [
        "/function/f/{\"a\":[1,2]}/<b>|^`?q={\"a\":1}&r=\\%zz??/../é",
        "/function/f/ü?",
        "/function/f.g_h-1//a;b,c@d",
    ] {
        let (head, out) = plain(&format!("GET {target} HTTP/1.1\nHost: h\n\n"));
        assert!(
            out.starts_with(&format!("GET {target} HTTP/1.1\n")),
            "{out}"
        );
        let (path, _) = target.split_once('?').unwrap_or((target, ""));
        assert_eq!(
            head.path.of(format!("GET {target}").as_bytes()),
            path.as_bytes()
        );
    }
    for inner in ["a%20b", "a\\b", ".", "a/./b", "a#b", "?#", "a\u{7f}", "a b"] {
        let line = format!("GET /function/f/{inner} HTTP/1.1\nHost: h\n\n");
        assert_eq!(found(&line), Found::Other, "{inner}");
    }
    let no_text = b"GET /function/f/\xff HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(Head::find(no_text, Limits::CLIENT), Found::Other);
}

#[test]
fn what_the_caller_gave_stays() {
    let (head, out) = plain(
        "HEAD /function/f HTTP/1.1\nHost: h\nX-Call-Id: mine\nx-forwarded-for: a\nx-forwarded-host: b\n\
         x-forwarded-proto: https\nconnection: close\n\n",
    );
    assert!(head.close && head.head_only && head.call_id.is_some() && head.within.is_none());
    assert!(
        out.contains("X-Call-Id: mine\n") && !out.contains("x-call-id: id"),
        "{out}"
    );
    assert!(!out.contains("x-forwarded-for: 192"), "{out}");
}

#[test]
fn a_deadline_is_read_and_goes_on() {
    let call = |ms| format!("GET /function/f HTTP/1.1\nHost: h\nDFaaS-Deadline-Ms: {ms}\n\n");
    let (head, out) = plain(&call("250"));
    assert_eq!(head.within, Some(Duration::from_millis(250)));
    assert!(out.contains("DFaaS-Deadline-Ms: 250\n"), "{out}");
    assert_eq!(plain(&call("soon")).0.within, None);
    let twice = call("250\ndfaas-deadline-ms: 3");
    assert_eq!(found(&twice), Found::Other);
}

#[test]
fn whatever_is_doubtful_is_left_to_others() {
    for lines in [
        "\nGET /function/f HTTP/1.1\nHost: h\n\n",
        "GET /function/f HTTP/1.0\nHost: h\n\n",
        "GET /function/f HTTP/1.1\n\n",
        "GET /function/f HTTP/1.1\nHost: h\nHost: h\n\n",
        "GET /function/f%2fx HTTP/1.1\nHost: h\n\n",
        "GET /function/f/%2e%2e HTTP/1.1\nHost: h\n\n",
        "GET /function/f/../../system HTTP/1.1\nHost: h\n\n",
        "GET /function/.. HTTP/1.1\nHost: h\n\n",
        "GET /system/functions HTTP/1.1\nHost: h\n\n",
        "GET http://h/function/f HTTP/1.1\nHost: h\n\n",
        "CONNECT h:1 HTTP/1.1\nHost: h\n\n",
        "GET /function/f?a#b HTTP/1.1\nHost: h\n\n",
        "GET /function/f HTTP/1.1\nHost: a, b\n\n",
        "GET /function/f HTTP/1.1\nHost: u@h\n\n",
        "POST /function/f HTTP/1.1\nHost: h\nContent-Length: 1\nContent-Length: 1\n\n",
        "POST /function/f HTTP/1.1\nHost: h\nContent-Length: 1, 1\n\n",
        "POST /function/f HTTP/1.1\nHost: h\nContent-Length: +1\n\n",
        "POST /function/f HTTP/1.1\nHost: h\nContent-Length: 65537\n\n",
        "POST /function/f HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n",
        "POST /function/f HTTP/1.1\nHost: h\nExpect: 100-continue\n\n",
        "GET /function/f HTTP/1.1\nHost: h\nConnection: upgrade\nUpgrade: websocket\n\n",
        "GET /function/f HTTP/1.1\nHost: h\nTE: trailers\n\n",
        "GET /function/f HTTP/1.1\nHost: h\nX: a\n b\n\n",
        "GET /function/f HTTP/1.1\nHost: h\nX : a\n\n",
    ] {
        assert_eq!(found(lines), Found::Other, "{lines}");
    }
    // A bare line feed at each place where one may be.
    let head = "GET /function/f HTTP/1.1\r\nHost: h\r\nX: a\r\n\r\n";
    for (at, _) in head.match_indices("\r\n") {
        let mut bare = head.to_owned();
        bare.remove(at);
        let found = Head::find(bare.as_bytes(), Limits::CLIENT);
        assert_eq!(found, Found::Other, "{bare:?}");
    }
    assert_eq!(
        Head::find(
            b"GET /function/f HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n",
            Limits::CLIENT
        ),
        Found::Other
    );
    assert_eq!(found("GET /function/f HTTP/1.1\nHost"), Found::Part);
}
