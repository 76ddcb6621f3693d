//! `TRACEPARENT`: the W3C trace context that the steps of a build belong to.

use pikoci_core::name::BuildId;
use uuid::Uuid;

/// The variable's name.
pub(crate) const TRACEPARENT: &str = "TRACEPARENT";

/// The value for the steps of a build: a new span in the trace of `caller`
/// where that is valid, else in a trace whose id is the build's.
pub(crate) fn traceparent(caller: Option<&str>, build: BuildId) -> String {
    // The lower half of such an id is random and, for its variant bits, never zero.
    let span = Uuid::now_v7().as_u64_pair().1;
    match caller.and_then(parse) {
        Some((trace, flags)) => format!("00-{trace}-{span:016x}-{flags:02x}"),
        None => {
            // An id of zeros, which only a caller's own clock makes, is no trace.
            let trace = if build.0.is_nil() { Uuid::now_v7() } else { build.0 };
            format!("00-{}-{span:016x}-01", trace.simple())
        }
    }
}

/// The trace id and the flags of a valid value.
fn parse(value: &str) -> Option<(&str, u8)> {
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut parts = value.trim().splitn(5, '-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let more = parts.next();
    let known = version == "00";
    let valid = hex(version, 2)
        && version != "ff"
        && hex(trace, 32)
        && hex(span, 16)
        && hex(flags, 2)
        && (more.is_none() || !known)
        && [trace, span].iter().all(|id| id.bytes().any(|b| b != b'0'));
    let flags = u8::from_str_radix(flags, 16).ok()?;
    // Of a later version, only the flag `sampled` is known to mean the same.
    valid.then_some((trace, if known { flags } else { flags & 1 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_valid_trace_of_the_caller_goes_on_with_a_new_span() {
        let build = BuildId(Uuid::now_v7());
        for (version, flags, more, expected) in
            [("00", "01", "", "01"), ("00", "00", "", "00"), ("01", "ff", "-x-y", "01")]
        {
            let caller = format!("{version}-{TRACE}-{SPAN}-{flags}{more}");
            let value = traceparent(Some(&caller), build);
            assert!(value.starts_with(&format!("00-{TRACE}-")), "{caller}: {value}");
            assert!(value.ends_with(&format!("-{expected}")), "{caller}: {value}");
            assert!(!value.contains(SPAN), "{value}");
            assert!(parse(&value).is_some(), "{value}");
        }
    }

    #[test]
    fn anything_else_begins_a_trace_with_the_builds_id() {
        let build = BuildId(Uuid::now_v7());
        let zeros = "0".repeat(32);
        let callers = [
            String::new(),
            "x".into(),
            TRACE.into(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{TRACE}-{SPAN}-+1"),
            format!("00-{TRACE}é-{SPAN}-01"),
        ];
        let callers = callers.iter().map(|it| Some(it.as_str())).chain([None]);
        for caller in callers {
            let value = traceparent(caller, build);
            assert!(value.starts_with(&format!("00-{}-", build.0.simple())), "{caller:?}: {value}");
            assert!(parse(&value).is_some(), "{value}");
        }
        assert_ne!(traceparent(None, build), traceparent(None, build), "each has its own span");
        assert!(parse(&traceparent(None, BuildId(Uuid::nil()))).is_some());
    }
}
