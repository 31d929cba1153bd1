//! What a file is, from its first bytes rather than its name.

use std::io::{self, Read};

/// What the first bytes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signature {
    /// Nothing special: text, as far as can be told.
    Text,
    /// gzip.
    Gzip,
    /// Apache Parquet.
    Parquet,
    /// Something that is not read here.
    Foreign(&'static str),
}

const LONGEST: usize = 6;

/// Reads the first bytes and gives them back with what they say.
pub(crate) fn read_signature(reader: &mut impl Read) -> io::Result<(Signature, Vec<u8>)> {
    let mut head = Vec::with_capacity(LONGEST);
    reader.take(LONGEST as u64).read_to_end(&mut head)?;
    Ok((signature(&head), head))
}

fn signature(head: &[u8]) -> Signature {
    const KNOWN: [(&[u8], Signature); 9] = [
        (&[0x1f, 0x8b], Signature::Gzip),
        (b"PAR1", Signature::Parquet),
        (b"PARE", Signature::Foreign("an encrypted Parquet file")),
        (&[0x28, 0xb5, 0x2f, 0xfd], Signature::Foreign("a Zstandard file")),
        (b"BZh", Signature::Foreign("a bzip2 file")),
        (&[0xfd, b'7', b'z', b'X', b'Z', 0], Signature::Foreign("an xz file")),
        (b"PK\x03\x04", Signature::Foreign("a zip file")),
        (&[0xff, 0xfe], Signature::Foreign("UTF-16 text")),
        (&[0xfe, 0xff], Signature::Foreign("UTF-16 text")),
    ];
    let known = KNOWN.iter().find(|(magic, _)| head.starts_with(magic));
    known.map_or(Signature::Text, |(_, signature)| *signature)
}
