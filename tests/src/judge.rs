//! A platform that judges what a node sends it, and a judge of what a client is sent: whatever bytes come in, only whole and
//! harmless requests may go on, and only whole answers back.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::message::{Head, Messages};

/// The functions of the platform.
pub const FUNCTIONS: [&str; 2] = ["echo", "a.b.dev"];

/// Without bytes for so long the node is taken to wait for the client.
const QUIET: Duration = Duration::from_millis(1);
/// A node that was told that nothing more comes answers and closes within this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// How the connection preface of HTTP/2 begins, up to where no request of HTTP/1 goes on.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// What the platform saw since it was last asked.
#[derive(Debug, Default)]
struct Seen {
    paths: Vec<String>,
    wrong: Option<String>,
}

/// A platform that takes every call and answers it.
#[derive(Clone, Debug)]
pub struct Judge {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    inputs: Arc<Mutex<VecDeque<Vec<u8>>>>,
}

impl Judge {
    /// Starts one.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start() -> Judge {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let judge = Judge {
            address,
            seen: Arc::default(),
            inputs: Arc::default(),
        };
        let own = judge.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let judge = own.clone();
                tokio::spawn(async move {
                    // The node may close a connection where it likes.
                    let _ = judge.serve(Messages::new(stream)).await;
                });
            }
        });
        judge
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends `input` to the node's ingress at `HOST:PORT` on a connection of its own, and judges what came of it.
    ///
    /// # Errors
    /// Says what is wrong.
    pub async fn judge(&self, ingress: &str, input: &[u8]) -> Result<(), String> {
        let answers = exchange(ingress, input).await?;
        let seen = std::mem::take(&mut *self.lock());
        if let Some(wrong) = seen.wrong {
            return Err(wrong);
        }
        // A call whose client was gone before may arrive only now.
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        if inputs.len() == 2 {
            inputs.pop_front();
        }
        inputs.push_back(input.to_vec());
        let inputs = inputs.make_contiguous().concat();
        if contains(&inputs, HTTP2) {
            return Ok(());
        }
        let asked = count(&inputs, b"HTTP/1.");
        if seen.paths.len() > asked {
            let paths = seen.paths;
            return Err(format!("{asked} requests at most became {paths:?}"));
        }
        // A path here is text of one character for each byte.
        let bytes = |path: &String| path.chars().map(|c| c as u8).collect::<Vec<u8>>();
        if let Some(path) = seen.paths.iter().find(|p| !contains(&inputs, &bytes(p))) {
            return Err(format!("nobody asked for {path:?}"));
        }
        let statuses = answers_in(&answers)?;
        let may = |s: &u16| matches!(s, 200..=299 | 400..=499 | 501 | 503 | 505);
        match statuses.iter().find(|status| !may(status)) {
            Some(status) => Err(format!("the input was answered with {status}")),
            None => Ok(()),
        }
    }

    async fn serve(&self, mut messages: Messages<TcpStream>) -> io::Result<()> {
        while let Some(bytes) = messages.head_bytes().await? {
            let path = match harmless(&bytes) {
                Ok(path) => path,
                Err(wrong) => return self.wrong(wrong, &bytes),
            };
            let head = Head::parse(&bytes)?;
            if path.starts_with("/function/") {
                self.lock().paths.push(path.clone());
            }
            // Without the end of a body nothing is answered: its client broke it off.
            messages.request_body(&head).await?;
            if !messages.left_over().is_empty() {
                let behind = messages.left_over();
                return self.wrong("something follows the request".into(), behind);
            }
            let (status, body) = match path.as_str() {
                "/system/functions" => (200, listing()),
                "/system/namespaces" => (404, "not found".into()),
                _ => (200, "ok".into()),
            };
            let body = if head.line.starts_with("HEAD ") {
                String::new()
            } else {
                body
            };
            let length = body.len();
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}");
            messages.stream().write_all(answer.as_bytes()).await?;
        }
        Ok(())
    }

    fn wrong(&self, wrong: String, bytes: &[u8]) -> io::Result<()> {
        let bytes = String::from_utf8_lossy(bytes);
        self.lock().wrong = Some(format!("{wrong}: {bytes:?}"));
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn listing() -> String {
    let entries = FUNCTIONS.map(|name| match name.rsplit_once('.') {
        Some((name, namespace)) => serde_json::json!({ "name": name, "namespace": namespace }),
        None => serde_json::json!({ "name": name }),
    });
    serde_json::Value::from(entries.to_vec()).to_string()
}

/// Sends the bytes and returns all that comes back.
async fn exchange(ingress: &str, input: &[u8]) -> Result<Vec<u8>, String> {
    let stream = TcpStream::connect(ingress).await;
    let stream = stream.map_err(|error| format!("the ingress takes no connection: {error}"))?;
    let (read, mut write) = stream.into_split();
    let mut messages = Messages::new(read);
    // The node may have closed the connection by then.
    let _ = write.write_all(input).await;
    let open = loop {
        match timeout(QUIET, messages.more()).await {
            Ok(Ok(count)) if count > 0 => {}
            Ok(_) => break false,
            Err(_) => break true,
        }
    };
    if open {
        let _ = write.shutdown().await;
        if timeout(PATIENCE, to_end(&mut messages)).await.is_err() {
            return Err("the connection was not closed".into());
        }
    }
    Ok(messages.left_over().to_vec())
}

async fn to_end(messages: &mut Messages<OwnedReadHalf>) {
    while messages.more().await.is_ok_and(|count| count > 0) {}
}

/// The statuses of the answers that these bytes are, one behind the other and each whole.
fn answers_in(mut bytes: &[u8]) -> Result<Vec<u16>, String> {
    const START: &[u8] = b"HTTP/1.";
    let shown = String::from_utf8_lossy(bytes).into_owned();
    let mut statuses = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        let end = end.ok_or_else(|| format!("no whole answer: {shown:?}"))?;
        let (head, rest) = bytes.split_at(end + 4);
        let text = String::from_utf8_lossy(head).to_ascii_lowercase();
        let status: Option<u16> = text.get(9..12).and_then(|text| text.parse().ok());
        let status = status
            .filter(|_| head.starts_with(START))
            .ok_or_else(|| format!("no answer: {shown:?}"))?;
        let length = text.split("\r\ncontent-length: ").nth(1);
        let length: usize = length
            .and_then(|text| text.split("\r\n").next()?.parse().ok())
            .unwrap_or(0);
        bytes = rest;
        if (100..200).contains(&status) {
            continue;
        }
        statuses.push(status);
        // The answer to a HEAD has the length of what it leaves out.
        if !(rest.is_empty() || rest.starts_with(START)) {
            bytes = rest
                .get(length..)
                .ok_or_else(|| format!("no whole body: {shown:?}"))?;
        }
    }
    Ok(statuses)
}

/// The path of a request that may reach a platform: well-formed to the letter (RFC 9112), for a function that there is, and
/// without anything that the platform could read differently. `head` is without the empty line.
///
/// # Errors
/// Says what is wrong.
pub fn harmless(head: &[u8]) -> Result<String, String> {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let [method, target, "HTTP/1.1"] = line.split(' ').collect::<Vec<_>>()[..] else {
        return Err("no request line".into());
    };
    if !is_token(method) {
        return Err("no method".into());
    }
    let path = target.split('?').next().unwrap_or_default();
    if target.chars().any(|c| c <= ' ' || c == '\x7f' || c == '#') {
        return Err("no target".into());
    }
    let own = path == "/healthz" || path.starts_with("/system/");
    if !own {
        stays_in_its_function(path)?;
    }
    let (mut lengths, mut codings, mut hosts) = (0, 0, 0);
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("a header without a colon")?;
        let value = value.trim_matches([' ', '\t']);
        if !is_token(name) || value.chars().any(|c| c != '\t' && c.is_ascii_control()) {
            return Err(format!("the header {line:?}"));
        }
        match name.to_ascii_lowercase().as_str() {
            "content-length"
                if value.is_empty() || value.contains(|c: char| !c.is_ascii_digit()) =>
            {
                return Err("a length that is no number".into());
            }
            "content-length" => lengths += 1,
            "transfer-encoding" if value != "chunked" => {
                return Err("a transfer coding other than chunked".into());
            }
            "transfer-encoding" => codings += 1,
            "host" => hosts += 1,
            _ => {}
        }
    }
    if lengths + codings > 1 || hosts != 1 {
        return Err("framing or host is not certain".into());
    }
    Ok(target.to_owned())
}

/// However the platform reads the path, it calls the function that the node took it for.
fn stays_in_its_function(path: &str) -> Result<(), String> {
    let inner = path.strip_prefix("/function/").unwrap_or_default();
    let name = inner.split('/').next().unwrap_or_default();
    if !FUNCTIONS.contains(&name) && name != "echo.openfaas-fn" {
        return Err("a path that the node must not ask for".into());
    }
    let mut read = path.as_bytes().to_vec();
    for _ in 0..4 {
        for (backslash, parameters, empty) in [
            (false, false, false),
            (false, false, true),
            (false, true, false),
            (true, false, false),
            (true, true, false),
            (true, true, true),
        ] {
            let reading = resolved(&read, backslash, parameters, empty);
            if !reading.starts_with(&[b"function".to_vec(), name.as_bytes().to_vec()]) {
                return Err("a path that can lead out of its function".into());
            }
        }
        if read.contains(&0) {
            return Err("an encoded NUL".into());
        }
        read = decoded_once(&read);
    }
    Ok(())
}

/// The segments of a path with those of dots resolved, by a server that takes a backslash for a slash, cuts parameters off a
/// segment, or counts empty segments.
fn resolved(path: &[u8], backslash: bool, parameters: bool, empty: bool) -> Vec<Vec<u8>> {
    let mut segments: Vec<Vec<u8>> = Vec::new();
    for segment in path[1..].split(|b| *b == b'/' || backslash && *b == b'\\') {
        let whole = segment;
        let segment = match segment.iter().position(|b| *b == b';') {
            Some(end) if parameters => &segment[..end],
            _ => segment,
        };
        match segment {
            b"." => {}
            b".." => drop(segments.pop()),
            b"" if !empty => {}
            _ => segments.push(whole.to_vec()),
        }
    }
    segments
}

fn decoded_once(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = path;
    while let [first, after @ ..] = rest {
        let pair = after
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = pair.filter(|_| *first == b'%').and_then(|pair| {
            let hex = pair.bytes().all(|b| b.is_ascii_hexdigit());
            hex.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
        });
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    out
}

fn is_token(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(allowed)
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    count(bytes, needle) > 0
}

fn count(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).filter(|w| *w == needle).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_judged_by_all_its_readings() {
        for path in [
            "/function/echo",
            "/function/echo/a%2Fb/../c",
            "/function/a.b.dev//x%",
        ] {
            assert_eq!(stays_in_its_function(path), Ok(()), "{path}");
        }
        for path in [
            "/function/other",
            "/function/echo/..",
            "/function/echo/%2e%2e/x",
            "/function/echo/%252e%252e/x",
            "/function/echo/a/..%5c..",
            "/function/echo/..;x/system",
            "/function/echo/%00",
        ] {
            assert!(stays_in_its_function(path).is_err(), "{path}");
        }
    }

    #[test]
    fn answers_are_whole_or_wrong() {
        let one = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let two = format!("{one}HTTP/1.1 404 X\r\n\r\n");
        assert_eq!(answers_in(two.as_bytes()), Ok(vec![200, 404]));
        assert!(answers_in(&one.as_bytes()[..one.len() - 1]).is_err());
        assert!(answers_in(b"nonsense\r\n\r\n").is_err());
    }
}
