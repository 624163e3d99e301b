//! Input files and standard input, compressed or not.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use clap::ValueEnum;
use flate2::bufread::MultiGzDecoder;
use indicatif::ProgressBar;
use zstd::stream::read::Decoder as ZstdDecoder;

use crate::cli::open;
use crate::error::{Error, Result};

/// Size of each buffer, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// Formats of an input file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FileFormat {
    /// One JSON object per line.
    Ndjson,
    /// Columns with a header line.
    Csv,
    /// LiteLLM's spend logs table, in either of these formats.
    LitellmSpendlogs,
}

/// An open, decompressed input.
pub(super) struct InputFile {
    /// The content.
    pub(super) reader: Box<dyn BufRead>,
    /// Shows how much was read.
    pub(super) bar: ProgressBar,
}

impl InputFile {
    /// Opens a file, or standard input for `-`; gzip and zstd are recognised by their first bytes.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let fail = |source| Error::Io { path: path.to_owned(), source };
        if path == Path::new("-") {
            return Self::new(io::stdin().lock(), None).map_err(fail);
        }
        let file = File::open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        if metadata.is_dir() {
            return Err(fail(io::ErrorKind::IsADirectory.into()));
        }
        Self::new(file, Some(metadata.len())).map_err(fail)
    }

    /// Reads from `source`, which has this size, if known.
    fn new(source: impl Read + 'static, bytes_total: Option<u64>) -> io::Result<Self> {
        let template = match bytes_total {
            Some(_) => "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            None => "{spinner} {bytes} {bytes_per_sec}",
        };
        let bar = open::bar(bytes_total, template);
        let mut raw = BufReader::with_capacity(BUFFER_BYTES, bar.wrap_read(source));
        let reader: Box<dyn BufRead> = match raw.fill_buf()? {
            [0x1f, 0x8b, ..] => buffered(MultiGzDecoder::new(raw)),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => buffered(ZstdDecoder::with_buffer(raw)?),
            _ => Box::new(raw),
        };
        Ok(Self { reader, bar })
    }

    /// The format by the file name, or else by the first character.
    ///
    /// # Errors
    /// If the file cannot be read or is a JSON array.
    pub(super) fn format(&mut self, path: &Path) -> Result<FileFormat> {
        match extension(path).as_deref() {
            Some("csv" | "tsv") => return Ok(FileFormat::Csv),
            Some("ndjson" | "jsonl") => return Ok(FileFormat::Ndjson),
            _ => {}
        }
        let fail = |source| Error::Io { path: path.to_owned(), source };
        let start = self.reader.fill_buf().map_err(fail)?;
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

fn buffered(source: impl Read + 'static) -> Box<dyn BufRead> {
    Box::new(BufReader::with_capacity(BUFFER_BYTES, source))
}

/// The extension of a file name without that of a compression, in lower case.
fn extension(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let mut suffixes = [".gz", ".zst", ".zstd"].into_iter();
    let name = suffixes.find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(&name);
    Some(name.rsplit_once('.')?.1.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(bytes: Vec<u8>) -> String {
        let mut input = InputFile::new(io::Cursor::new(bytes), None).unwrap();
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
            let mut input = InputFile::new(content.as_bytes(), None).unwrap();
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
