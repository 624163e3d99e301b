//! Input files and standard input, compressed or not.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use flate2::bufread::MultiGzDecoder;

use crate::error::{Error, Result};

const BUFFER_BYTES: usize = 256 << 10;

/// Formats of an input file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// One JSON object per line.
    Ndjson,
    /// Columns with a header line.
    Csv,
    /// LiteLLM's spend logs table, in either of these formats.
    LitellmSpendlogs,
}

/// An open, decompressed input.
pub struct Input {
    /// The content.
    pub reader: Box<dyn BufRead>,
    /// Size on disk; `None` for standard input.
    pub bytes_total: Option<u64>,
    /// Bytes read from disk so far.
    pub bytes_read: Arc<AtomicU64>,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").field("bytes_total", &self.bytes_total).finish_non_exhaustive()
    }
}

impl Input {
    /// Opens a file, or standard input for `-`; gzip and zstd are recognised by their first bytes.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |source| Error::Io { path: path.to_owned(), source };
        if path == Path::new("-") {
            return Self::new(io::stdin().lock(), None).map_err(fail);
        }
        let file = File::open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        if metadata.is_dir() {
            return Err(fail(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        Self::new(file, Some(metadata.len())).map_err(fail)
    }

    fn new(source: impl Read + 'static, bytes_total: Option<u64>) -> io::Result<Self> {
        let bytes_read = Arc::new(AtomicU64::new(0));
        let counting = Counting { source, bytes_read: Arc::clone(&bytes_read) };
        let mut raw = BufReader::with_capacity(BUFFER_BYTES, counting);
        let reader: Box<dyn BufRead> = match raw.fill_buf()? {
            [0x1f, 0x8b, ..] => {
                Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(raw)))
            }
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(BufReader::with_capacity(
                BUFFER_BYTES,
                zstd::stream::read::Decoder::with_buffer(raw)?,
            )),
            _ => Box::new(raw),
        };
        Ok(Self { reader, bytes_total, bytes_read })
    }

    /// The format by the file name, or else by the first character.
    ///
    /// # Errors
    /// If the file cannot be read or is a JSON array.
    pub fn format(&mut self, path: &Path) -> Result<FileFormat> {
        if let Some(format) = format_by_name(path) {
            return Ok(format);
        }
        let start =
            self.reader.fill_buf().map_err(|source| Error::Io { path: path.to_owned(), source })?;
        match start.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => Ok(FileFormat::Ndjson),
            Some(b'[') => {
                let reason = "is a JSON array; write one object per line, e.g. with jq -c '.[]'";
                Err(Error::invalid_config(path.display().to_string(), reason))
            }
            _ => Ok(FileFormat::Csv),
        }
    }
}

fn format_by_name(path: &Path) -> Option<FileFormat> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let name = [".gz", ".zst", ".zstd"]
        .into_iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "csv" | "tsv" => Some(FileFormat::Csv),
        "ndjson" | "jsonl" => Some(FileFormat::Ndjson),
        _ => None,
    }
}

struct Counting<R> {
    source: R,
    bytes_read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(bytes: Vec<u8>) -> String {
        let mut input = Input::new(io::Cursor::new(bytes), None).unwrap();
        let mut text = String::new();
        input.reader.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn compressed_files_are_recognised_by_their_content() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"a,b\n").unwrap();
        assert_eq!(read(gzip.finish().unwrap()), "a,b\n");
        assert_eq!(read(zstd::encode_all(&b"a,b\n"[..], 1).unwrap()), "a,b\n");
        assert_eq!(read(b"a,b\n".to_vec()), "a,b\n");
        assert_eq!(read(Vec::new()), "");
    }

    #[test]
    fn the_format_follows_the_name_or_else_the_content() {
        let format = |name: &str, content: &'static str| {
            let mut input = Input::new(content.as_bytes(), None).unwrap();
            input.format(Path::new(name)).map_err(|error| error.to_string())
        };
        assert_eq!(format("a.CSV.gz", ""), Ok(FileFormat::Csv));
        assert_eq!(format("a.jsonl.zst", ""), Ok(FileFormat::Ndjson));
        assert_eq!(format("-", "\n {\"a\":1}"), Ok(FileFormat::Ndjson));
        assert_eq!(
            format("a.json", "[{}]"),
            Err("a.json: is a JSON array; write one object per line, e.g. with jq -c '.[]'".into())
        );
        assert_eq!(format("a.txt", "a,b"), Ok(FileFormat::Csv));
    }
}
