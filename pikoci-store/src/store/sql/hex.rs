//! Bytes as hexadecimal digits, the one form of them that every server reads
//! the same whatever its settings.

/// Adds the digits of `bytes` to `text`.
pub(crate) fn push(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    text.reserve(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// The bytes that `text` has the digits of; `None` when it is no such text.
#[cfg(feature = "postgres")]
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_byte_has_two_digits() {
        let bytes: Vec<u8> = (0..=u8::MAX).collect();
        let mut text = String::new();
        super::push(&mut text, &bytes);
        assert!(text.starts_with("000102") && text.ends_with("fdfeff") && text.len() == 512);
        #[cfg(feature = "postgres")]
        {
            assert_eq!(super::decode(&text), Some(bytes));
            assert_eq!(super::decode("0"), None);
            assert_eq!(super::decode("0g"), None);
        }
    }
}
