//! The W3C trace context: `traceparent`, and `tracestate` beside it.

/// The longest `tracestate` that is kept, in characters.
const MAX_STATE: usize = 512;

/// The most members that a `tracestate` may have.
const MAX_MEMBERS: usize = 32;

/// Returns whether `text` is a W3C trace context of version 00.
pub fn is_traceparent(text: &str) -> bool {
    trace_id_of(text).is_some()
}

/// Returns the trace id of a W3C trace context of version 00: `00-<32 hex>-<16 hex>-<2 hex>`.
/// `None` for any other text, and if an id is all zero.
pub fn trace_id_of(traceparent: &str) -> Option<&str> {
    match *traceparent.split('-').collect::<Vec<_>>().as_slice() {
        ["00", trace, span, flags]
            if is_trace_part(trace, 32) && is_trace_part(span, 16) && is_hex(flags, 2) =>
        {
            Some(trace)
        }
        _ => None,
    }
}

/// Whether `part` is an id of a trace context: so many hexadecimal digits, not all of them zero.
fn is_trace_part(part: &str, length: usize) -> bool {
    is_hex(part, length) && part.bytes().any(|byte| byte != b'0')
}

/// Whether `part` has `length` characters, all of them lower-case hexadecimal digits.
fn is_hex(part: &str, length: usize) -> bool {
    part.len() == length
        && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Returns whether `text` is a `tracestate` that is kept: 1 to 32 members `<key>=<value>` joined by
/// commas, of at most 512 printable ASCII characters.
pub fn is_tracestate(text: &str) -> bool {
    let is_value = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b',' && byte != b'=';
    let is_key = |byte: u8| byte.is_ascii_graphic() && byte != b',' && byte != b'=';
    let is_member = |member: &str| {
        member.trim_matches(' ').split_once('=').is_some_and(|(key, value)| {
            !key.is_empty()
                && key.bytes().all(is_key)
                && !value.is_empty()
                && value.bytes().all(is_value)
        })
    };
    text.len() <= MAX_STATE
        && text.split(',').count() <= MAX_MEMBERS
        && text.split(',').all(is_member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracestate_is_a_short_list_of_members() {
        let long = format!("a={}", "x".repeat(511));
        let many = vec!["a=b"; 33].join(",");
        for good in ["congo=t61rcWkgMzE", "a=1,b@c=\"x y\"", "rojo=00f067aa0ba902b7, b=2"] {
            assert!(is_tracestate(good), "{good}");
        }
        for bad in ["", "a", "=b", "a=", "a=b,,c=d", "a=b\n", "\u{e4}=b", "a=b=c", &long, &many] {
            assert!(!is_tracestate(bad), "{bad}");
        }
    }
}
