//! HTTP/1.1 messages read off a raw connection, byte by byte as they are framed: whatever is left over is seen.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The head of a request or of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// The first line.
    pub line: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads a head.
    ///
    /// # Errors
    /// If a line has no colon.
    pub fn parse(bytes: &[u8]) -> io::Result<Head> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let mut lines = text.split("\r\n").map(str::to_owned);
        let line = lines.next().unwrap_or_default();
        let headers = lines
            .map(|line| match line.split_once(':') {
                Some((name, value)) => Ok((name.to_ascii_lowercase(), value.trim().to_owned())),
                None => Err(malformed(format!("no header: {line:?}"))),
            })
            .collect::<io::Result<_>>()?;
        Ok(Head { line, headers })
    }

    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The status of an answer.
    ///
    /// # Errors
    /// If the first line is that of no answer.
    pub fn status(&self) -> io::Result<u16> {
        let mut words = self.line.split(' ');
        words
            .next()
            .filter(|version| *version == "HTTP/1.1")
            .and_then(|_| words.next()?.parse().ok())
            .ok_or_else(|| malformed(format!("no answer begins with {:?}", self.line)))
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding") == Some("chunked")
    }

    fn length(&self) -> io::Result<Option<usize>> {
        let length = self.header("content-length").map(str::parse);
        length
            .transpose()
            .map_err(|_| malformed(format!("no number: {:?}", self.header("content-length"))))
    }
}

/// A connection that is read message by message.
#[derive(Debug)]
pub struct Messages<R> {
    stream: R,
    seen: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Messages<R> {
    /// Nothing was read yet.
    pub fn new(stream: R) -> Messages<R> {
        Messages {
            stream,
            seen: Vec::new(),
        }
    }

    /// The connection.
    pub fn stream(&mut self) -> &mut R {
        &mut self.stream
    }

    /// What was read and belongs to no message yet.
    pub fn left_over(&self) -> &[u8] {
        &self.seen
    }

    /// Reads a head; nothing if the connection ends before its first byte.
    ///
    /// # Errors
    /// If the connection breaks or ends within the head, or if it is malformed.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        let bytes = self.head_bytes().await?;
        bytes.map(|bytes| Head::parse(&bytes)).transpose()
    }

    /// Reads the bytes of a head, without the empty line; nothing if the connection ends before its first byte.
    ///
    /// # Errors
    /// If the connection breaks or ends within the head.
    pub async fn head_bytes(&mut self) -> io::Result<Option<Vec<u8>>> {
        let end = loop {
            if let Some(at) = self.seen.windows(4).position(|w| w == b"\r\n\r\n") {
                break at;
            }
            if self.more().await? == 0 {
                return match self.seen.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        };
        let bytes = self.seen.drain(..end + 4).take(end).collect();
        Ok(Some(bytes))
    }

    /// Reads the body of a request, which has none unless its head says so.
    ///
    /// # Errors
    /// If the connection breaks or ends within the body, or if it is malformed.
    pub async fn request_body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        if head.is_chunked() {
            return self.chunks().await;
        }
        match head.length()? {
            Some(length) => self.exactly(length).await,
            None => Ok(Vec::new()),
        }
    }

    /// Reads the body of an answer, which ends with the connection unless its head says otherwise.
    ///
    /// # Errors
    /// If the connection breaks or ends within the body, or if it is malformed.
    pub async fn answer_body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        if head.is_chunked() {
            return self.chunks().await;
        }
        if let Some(length) = head.length()? {
            return self.exactly(length).await;
        }
        while self.more().await? > 0 {}
        Ok(std::mem::take(&mut self.seen))
    }

    /// Reads so many bytes.
    ///
    /// # Errors
    /// If the connection breaks or ends before.
    pub async fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.seen.len() < count {
            if self.more().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.seen.drain(..count).collect())
    }

    /// Reads what comes next. Returns how much, nothing at the end.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn more(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.seen).await
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.seen.windows(2).position(|w| w == b"\r\n") {
                let line = String::from_utf8_lossy(&self.seen[..at]).into_owned();
                self.seen.drain(..at + 2);
                return Ok(line);
            }
            if self.more().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = usize::from_str_radix(line.trim(), 16)
                .map_err(|_| malformed(format!("no chunk's size: {line:?}")))?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.exactly(size).await?);
            if !self.line().await?.is_empty() {
                return Err(malformed("a chunk is longer than it says".into()));
            }
        }
    }
}

fn malformed(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
