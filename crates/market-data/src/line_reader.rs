use std::io::{self, Read};
use std::ops::Range;

/// What is read at once, beside the longest line.
const CHUNK: usize = 128 * 1024;

/// Says why there is no next line.
#[derive(Debug)]
pub(crate) enum LineFailure {
    /// The line is longer than allowed.
    TooLong,
    /// The reader failed.
    Io(io::Error),
}

/// Cuts bytes into lines in one buffer of fixed size, whatever the input.
#[derive(Debug)]
pub(crate) struct LineReader<R> {
    reader: R,
    buffer: Vec<u8>,
    /// The part of `buffer` that is read and not yet given out.
    pending: Range<usize>,
    max_line_bytes: usize,
    row: u64,
    ended: bool,
}

impl<R: Read> LineReader<R> {
    pub(crate) fn new(reader: R, max_line_bytes: usize) -> Self {
        Self {
            reader,
            buffer: vec![0; max_line_bytes.saturating_add(CHUNK)],
            pending: 0..0,
            max_line_bytes,
            row: 0,
            ended: false,
        }
    }

    /// The number of the line given last, or at which a failure occurred; from 1.
    pub(crate) fn row(&self) -> u64 {
        self.row
    }

    /// The next line without its line feed and carriage return; `None` at the end.
    pub(crate) fn next_line(&mut self) -> Result<Option<&[u8]>, LineFailure> {
        self.row += 1;
        let mut scanned = 0;
        loop {
            let pending = self.buffer.get(self.pending.clone()).unwrap_or_default();
            let unseen = pending.get(scanned..).unwrap_or_default();
            if let Some(length) = memchr::memchr(b'\n', unseen).map(|at| scanned + at) {
                let line = self.pending.start..self.pending.start + length;
                self.pending.start = line.end + 1;
                return self.line(line).map(Some);
            }
            scanned = pending.len();
            if scanned > self.max_line_bytes {
                return Err(LineFailure::TooLong);
            }
            if self.ended {
                let line = self.pending.clone();
                self.pending.start = line.end;
                return match line.is_empty() {
                    true => Ok(None),
                    false => self.line(line).map(Some),
                };
            }
            self.fill().map_err(LineFailure::Io)?;
        }
    }

    fn line(&self, range: Range<usize>) -> Result<&[u8], LineFailure> {
        if range.len() > self.max_line_bytes {
            return Err(LineFailure::TooLong);
        }
        let line = self.buffer.get(range).unwrap_or_default();
        Ok(line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.pending.clone(), 0);
        self.pending = 0..self.pending.len();
        let space = self.buffer.get_mut(self.pending.end..).unwrap_or_default();
        loop {
            match self.reader.read(space) {
                Ok(read) => {
                    self.pending.end += read;
                    self.ended = read == 0;
                    return Ok(());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(1);
            self.0.read(&mut buffer[..n])
        }
    }

    fn lines(reader: impl Read) -> Vec<String> {
        let mut reader = LineReader::new(reader, 8);
        let mut lines = Vec::new();
        while let Some(line) = reader.next_line().unwrap() {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
        }
        lines
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        let text = b"a\r\n\nbcd\n12345678\nlast";
        let expected = ["a", "", "bcd", "12345678", "last"];
        assert_eq!(lines(&text[..]), expected);
        assert_eq!(lines(Drip(text)), expected);
        assert_eq!(lines(&b""[..]), [""; 0]);
    }

    #[test]
    fn an_endless_line_fails_after_the_limit_and_names_its_row() {
        let endless = (&b"ok\n"[..]).chain(io::repeat(b'x'));
        let mut reader = LineReader::new(endless, 1000);
        assert_eq!(reader.next_line().unwrap(), Some(&b"ok"[..]));
        assert!(matches!(reader.next_line(), Err(LineFailure::TooLong)));
        assert_eq!(reader.row(), 2);
        assert!(reader.buffer.len() <= 1000 + CHUNK);
    }

    #[test]
    fn a_line_longer_than_the_limit_fails_even_when_its_end_is_in_the_buffer() {
        let mut reader = LineReader::new(&b"123456789\n"[..], 8);
        assert!(matches!(reader.next_line(), Err(LineFailure::TooLong)));
    }
}
