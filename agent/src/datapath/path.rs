//! What a path asks for.

/// The prefix of calls.
pub(crate) const FUNCTION: &str = "/function/";

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked<'a> {
    /// A function's call; the name as the path writes it.
    Function(&'a str),
    /// Whether the node takes calls.
    Health,
    /// The functions of the local platform.
    Functions,
    /// Nothing that is there.
    Unknown,
    /// A call whose name is none, or whose path leads out of the function.
    Malformed,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(path: &'a str) -> Asked<'a> {
        match path {
            "/healthz" => Asked::Health,
            "/system/functions" => Asked::Functions,
            _ => match path.strip_prefix(FUNCTION) {
                None | Some("") => Asked::Unknown,
                Some(rest) => function(rest).map_or(Asked::Malformed, Asked::Function),
            },
        }
    }
}

/// The function that a path calls: the whole segment after `/function/`, so that no name is a prefix of another. None where
/// the path is not to be passed on: where the name has other characters than names have, or where the rest could lead a
/// platform that resolves `..` out of the function, to the platform's own paths.
pub(crate) fn function_in(path: &str) -> Option<&str> {
    path.strip_prefix(FUNCTION).and_then(function)
}

fn function(rest: &str) -> Option<&str> {
    let (name, inner) = rest.split_at(name(rest.as_bytes())?);
    (!leads_out(inner)).then_some(name)
}

/// The length of the name at the beginning of what follows [`FUNCTION`], if it is one.
pub(crate) fn name(rest: &[u8]) -> Option<usize> {
    let end = rest.iter().position(|byte| *byte == b'/');
    let name = &rest[..end.unwrap_or(rest.len())];
    let of_a_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let named = !matches!(name, b"" | b"." | b"..") && name.iter().all(of_a_name);
    named.then_some(name.len())
}

/// Whether some reading of the path behind a function's name leads above it, or ends at a NUL.
fn leads_out(inner: &str) -> bool {
    if !inner.contains(['%', '\\']) && !inner.contains("..") {
        return false;
    }
    let path = decoded(inner.as_bytes());
    let mut depth = 0u32;
    for segment in path.split(|b| matches!(b, b'/' | b'\\')) {
        // Some servers cut parameters off a segment before they resolve it.
        match segment.split(|b| *b == b';').next() {
            None | Some(b"" | b".") => {}
            Some(b"..") if depth == 0 => return true,
            Some(b"..") => depth -= 1,
            Some(_) => depth += 1,
        }
    }
    path.contains(&0)
}

/// Percent-decodes until nothing is left to decode, as whoever comes after us may decode more than once.
fn decoded(path: &[u8]) -> Vec<u8> {
    let digit = |b: &u8| char::from(*b).to_digit(16);
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    for byte in path {
        out.push(*byte);
        while let [.., b'%', high, low] = out.as_slice()
            && let (Some(high), Some(low)) = (digit(high), digit(low))
        {
            out.truncate(out.len() - 3);
            out.push((high << 4 | low) as u8);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_whole_segment() {
        assert_eq!(function_in("/function/echo"), Some("echo"));
        assert_eq!(function_in("/function/echo.dev/a/b"), Some("echo.dev"));
        assert_eq!(function_in("/function/echo/"), Some("echo"));
        assert_eq!(function_in("/function/"), None);
        assert_eq!(function_in("/function"), None);
        assert_eq!(function_in("/functions/echo"), None);
        assert_eq!(Asked::of("/function/"), Asked::Unknown);
        assert_eq!(Asked::of("/system/functions"), Asked::Functions);
        assert_eq!(Asked::of("/system/functions/x"), Asked::Unknown);
        assert_eq!(Asked::of("/healthz"), Asked::Health);
    }

    #[test]
    fn a_name_is_written_plainly() {
        for name in [
            "ech%6f", "a%2fb", "%2e%2e", "a%2e", "a b", "a;b", "a\\b", "ä", ".", "..",
        ] {
            let path = format!("/function/{name}");
            assert_eq!(Asked::of(&path), Asked::Malformed, "{name}");
            assert_eq!(function_in(&path), None, "{name}");
        }
        assert_eq!(Asked::of("/function//echo"), Asked::Malformed);
    }

    #[test]
    fn no_path_leads_out_of_its_function() {
        for inner in [
            "..",
            "../system/functions",
            "a/../..",
            "./..",
            "a//../..",
            "%2e%2e",
            "%2e./x",
            ".%2E",
            "..%2fsystem",
            "a%2f..%2f..",
            "%252e%252e",
            "%25252e%2e",
            "%2%65%2e",
            "..\\system",
            "..%5c",
            "..;/system",
            "a/..;x=1/..",
            "a%00",
        ] {
            assert_eq!(
                Asked::of(&format!("/function/f/{inner}")),
                Asked::Malformed,
                "{inner}"
            );
        }
        for inner in [
            "a/../b",
            "a%2fb",
            "a..b",
            "...",
            "100%",
            "%zz",
            "a/b/../..",
            "%e2%82%ac",
            "%",
        ] {
            assert_eq!(
                Asked::of(&format!("/function/f/{inner}")),
                Asked::Function("f"),
                "{inner}"
            );
        }
    }
}
