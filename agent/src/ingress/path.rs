//! What a path asks for.

/// The prefix of calls.
const FUNCTION: &str = "/function/";

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    /// A function's call; the name as the path writes it.
    Function(&'a str),
    /// Whether the node takes calls.
    Health,
    /// The functions of the local platform.
    Functions,
    /// Nothing that is there.
    Unknown,
}

impl<'a> Asked<'a> {
    pub(super) fn of(path: &'a str) -> Asked<'a> {
        match path {
            "/healthz" => Asked::Health,
            "/system/functions" => Asked::Functions,
            _ => function_in(path).map_or(Asked::Unknown, Asked::Function),
        }
    }
}

/// The function that a path calls: the whole segment after `/function/`, so that no name is a prefix of another.
pub fn function_in(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(FUNCTION)?;
    let name = rest.split('/').next()?;
    (!name.is_empty()).then_some(name)
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
        assert_eq!(Asked::of("/system/functions"), Asked::Functions);
        assert_eq!(Asked::of("/system/functions/x"), Asked::Unknown);
        assert_eq!(Asked::of("/healthz"), Asked::Health);
    }
}
