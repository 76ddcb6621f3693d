//! The last lines of a step's output, kept in bounded memory.

/// How many bytes are kept; long enough for twenty long lines.
const KEPT_BYTES: usize = 16 * 1024;

/// The end of a stream of output.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    cut: bool,
}

impl Tail {
    /// Takes the next chunk, of any size.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        let kept = chunk.len().min(KEPT_BYTES);
        let (dropped, chunk) = chunk.split_at(chunk.len() - kept);
        if !dropped.is_empty() {
            self.cut |= !self.bytes.is_empty() || !dropped.is_empty();
            self.bytes.clear();
        }
        self.bytes.extend_from_slice(chunk);
        // Moving bytes only now and then keeps a flood of small chunks cheap.
        if self.bytes.len() > 2 * KEPT_BYTES {
            let surplus = self.bytes.len() - KEPT_BYTES;
            self.bytes.drain(..surplus);
            self.cut = true;
        }
    }

    /// The last `count` lines, and whether there were others before them.
    pub(super) fn lines(&self, count: usize) -> (Vec<&[u8]>, bool) {
        let body = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        if body.is_empty() {
            return (Vec::new(), self.cut);
        }
        let mut lines: Vec<&[u8]> = body.rsplit(|byte| *byte == b'\n').take(count).collect();
        let used = lines.iter().map(|line| line.len() + 1).sum::<usize>().saturating_sub(1);
        let more = self.cut || used < body.len();
        lines.reverse();
        (lines, more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_whatever_came_before() {
        let mut tail = Tail::default();
        for number in 0..100_000 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        let (lines, more) = tail.lines(2);
        assert_eq!(lines, [b"line 99998".as_slice(), b"line 99999"]);
        assert!(more);
        assert!(tail.bytes.capacity() < 8 * KEPT_BYTES);
    }

    #[test]
    fn one_huge_chunk_leaves_its_end() {
        let mut tail = Tail::default();
        tail.push(b"before\n");
        let mut chunk = vec![b'x'; 3 * KEPT_BYTES];
        chunk.extend_from_slice(b"\nend\n");
        tail.push(&chunk);
        assert_eq!(tail.lines(1), (vec![b"end".as_slice()], true));
    }

    #[test]
    fn few_lines_are_all_there_is() {
        let mut tail = Tail::default();
        assert_eq!(tail.lines(20), (vec![], false));
        tail.push(b"a\n\nb");
        assert_eq!(tail.lines(20), (vec![b"a".as_slice(), b"", b"b"], false));
        assert_eq!(tail.lines(2), (vec![b"".as_slice(), b"b"], true));
    }
}
