//! Heads of answers as they are read and written.

use super::*;

fn answer(lines: &str) -> Head {
    match Head::find(lines.replace('\n', "\r\n").as_bytes(), false) {
        Found::Answer(head) => head,
        other => panic!("{other:?}: {lines}"),
    }
}

#[test]
fn the_end_of_a_body_is_known() {
    let sized = answer("HTTP/1.1 200 OK\nContent-Length: 12\n\n");
    assert_eq!((sized.body, sized.reusable), (Body::Sized(12), true));
    let chunked = answer("HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n\n");
    assert_eq!((chunked.body, chunked.reusable), (Body::Chunked, true));
    let open = answer("HTTP/1.1 200 OK\n\n");
    assert_eq!((open.body, open.reusable), (Body::UntilClose, false));
    let none = answer("HTTP/1.1 204 No Content\n\n");
    assert_eq!((none.body, none.reusable), (Body::Sized(0), true));
    let old = answer("HTTP/1.0 200 OK\nContent-Length: 1\n\n");
    assert!(!old.reusable);
    let last = answer("HTTP/1.1 200 OK\nConnection: x, Close\nContent-Length: 1\n\n");
    assert!(!last.reusable);
}

#[test]
fn an_answer_whose_end_is_in_doubt_is_broken() {
    for lines in [
        "HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 2\n\n",
        "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n",
        "HTTP/1.1 200 OK\nContent-Length: x\n\n",
        "HTTP/1.1 101 Switching Protocols\n\n",
        "HTTP/1.1 099 Low\nContent-Length: 0\n\n",
        "nonsense\n\n",
        "\nHTTP/1.1 200 X: y\n\n",
    ] {
        let text = lines.replace('\n', "\r\n");
        assert_eq!(Head::find(text.as_bytes(), false), Found::Broken, "{lines}");
    }
    assert_eq!(
        Head::find(b"HTTP/1.1 100 Continue\r\n\r\nHTTP", false),
        Found::Interim(25)
    );
}

#[test]
fn lines_are_passed_on_as_they_are_unless_their_form_is_another() {
    let written = |text: &str| {
        let Found::Answer(head) = Head::find(text.as_bytes(), false) else {
            panic!("{text:?}");
        };
        let mut out = Vec::new();
        head.write(text.as_bytes(), &mut out);
        (head.left_out.is_some(), String::from_utf8(out).unwrap())
    };
    let kept = "HTTP/1.1 404 Not Found\r\nA:  b c\r\nContent-Length: 1\r\n";
    assert_eq!(written(&format!("{kept}\r\n")), (true, kept.to_owned()));
    let dropped =
        "HTTP/1.1 404 Not Found\r\nTE: x\r\nA:  b c\r\nKeep-Alive: 5\r\nContent-Length: 1\r\n\r\n";
    assert_eq!(written(dropped), (true, kept.to_owned()));
    let blank = "HTTP/1.1 404 Not Found\r\nA:  b c\t\r\nContent-Length: 1 \r\n";
    assert_eq!(written(&format!("{blank}\r\n")), (true, blank.to_owned()));
    let unsaid = "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n";
    let said = "HTTP/1.1 404 \r\nContent-Length: 0\r\n";
    assert_eq!(written(unsaid), (false, said.to_owned()));
    for other in [
        "HTTP/1.1 404 Not Found\nA:  b c\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nA:  b c \nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nA:  b c\r\nContent-Length: 1\n\r\n",
        "HTTP/1.1 404 Not Found\r\nA:  b c\r\nContent-Length: 1 \n\r\n",
        "HTTP/1.1 404 Not Found\r\nA:  b c\r\nContent-Length: 1\r\n\n",
        "HTTP/1.0 404 Not Found\r\nA:  b c\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nTE: 1\r\nTE: 2\r\nTE: 3\r\nTE: 4\r\nTE: 5\r\nTE: 6\r\nTE: 7\r\nA:  b c\r\n\
         Content-Length: 1\r\n\r\n",
    ] {
        assert_eq!(written(other), (false, kept.to_owned()), "{other:?}");
    }
    let empty = "HTTP/1.1 200 OK\r\nA:\r\nContent-Length: 0\r\n";
    assert_eq!(written(&format!("{empty}\r\n")), (true, empty.to_owned()));
    // Both lengths are there, and only one goes on.
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let one = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(written(both), (false, one.to_owned()));
    let Found::Answer(head) = Head::find(both.as_bytes(), true) else {
        panic!("{both:?}");
    };
    let mut out = Vec::new();
    head.write(both.as_bytes(), &mut out);
    assert_eq!((head.body, &out[..]), (Body::Sized(0), one.as_bytes()));
    let twice = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-length: 01\r\n\r\n";
    let once = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n";
    assert_eq!(written(twice), (false, once.to_owned()));
}

#[test]
fn what_the_connection_names_ends_with_it() {
    let text = "HTTP/1.1 200 OK\r\nX-Hop: 1\r\nConnection: keep-alive, x-hop\r\nA: b\r\nConnection: Content-Length,date\r\n\
                Date: d\r\nContent-Length: 1\r\n\r\n";
    let Found::Answer(head) = Head::find(text.as_bytes(), false) else {
        panic!("{text:?}");
    };
    assert_eq!((head.body, head.reusable), (Body::Sized(1), true));
    let mut out = Vec::new();
    head.write(text.as_bytes(), &mut out);
    // Nobody may take away what says where the answer ends.
    let kept = "HTTP/1.1 200 OK\r\nA: b\r\nDate: d\r\nContent-Length: 1\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), kept);
}

#[test]
fn what_is_between_nodes_stays_there() {
    let lines = "HTTP/1.1 200 Fine\nDFaaS-Headroom: -1/4\nDFaaS-Node-ID: forged\nX-Server: forged\nKeep-Alive: 5\n\
                 Connection: keep-alive\nContent-Length: 2\nX-Own: kept \n\n";
    let head = answer(lines);
    assert_eq!(head.headroom, Some(Headroom { free: -1, size: 4 }));
    let mut out = Vec::new();
    head.write(lines.replace('\n', "\r\n").as_bytes(), &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nX-Own: kept \r\n"
    );
    assert!(answer("HTTP/1.1 503 x\nDFaaS-Refused: full\nContent-Length: 0\n\n").refused);
    assert!(
        answer("HTTP/1.1 429 x\nX-OpenFaaS-Internal: faas-middleware\nContent-Length: 0\n\n")
            .limiter
    );
}
