//! Removes the usage chunk that the gateway requested on its own from a stream.

use bytes::Bytes;

/// Maximum number of bytes of an unfinished event to buffer; the usage chunk is far smaller.
const BUFFER_BYTES: usize = 64 << 10;

/// Forwards a stream without some of its events; every other byte is unchanged and in order.
///
/// An event is buffered until its last byte arrives, when it is known whether to remove it.
#[derive(Debug, Default)]
pub struct Stripper {
    held: Vec<Bytes>,
    held_bytes: usize,
    /// The current event is too long to be the usage chunk.
    stays: bool,
}

impl Stripper {
    /// Reads the next bytes and the ends of the events in them, each with whether to remove the
    /// event; forwards the rest.
    pub fn push(&mut self, bytes: &Bytes, ends: &[(usize, bool)], out: &mut dyn FnMut(Bytes)) {
        // Consecutive events that stay are forwarded as one piece.
        let (mut from, mut kept) = (0, 0);
        for &(end, goes) in ends {
            if goes && !self.stays {
                pass(bytes, from, kept, out);
                from = end;
                self.held_bytes = 0;
                self.held.clear();
            } else {
                self.finish(out);
            }
            kept = end;
            self.stays = false;
        }
        pass(bytes, from, kept, out);
        let rest = bytes.slice(kept.min(bytes.len())..);
        if rest.is_empty() {
            return;
        }
        if self.stays {
            out(rest);
        } else {
            self.held_bytes += rest.len();
            self.held.push(rest);
            if self.held_bytes > BUFFER_BYTES {
                self.finish(out);
                self.stays = true;
            }
        }
    }

    /// Forwards the buffered bytes, because the event stays or the stream has ended.
    pub fn finish(&mut self, out: &mut dyn FnMut(Bytes)) {
        self.held_bytes = 0;
        self.held.drain(..).for_each(out);
    }
}

fn pass(bytes: &Bytes, from: usize, to: usize, out: &mut dyn FnMut(Bytes)) {
    if from < to {
        out(bytes.slice(from..to));
    }
}
