//! Taking the chunk that was asked for on the client's behalf out of a stream again.

use bytes::Bytes;

/// Most bytes of an unfinished event that are held back; the chunk in question is far smaller.
const HELD_BYTES: usize = 64 << 10;

/// Passes a stream on without some of its events; every other byte stays as it was, and in order.
///
/// An event is held back until it is known whether it stays, which is when its last byte is here.
#[derive(Debug, Default)]
pub struct Stripper {
    held: Vec<Bytes>,
    held_bytes: usize,
    /// The event under way is too long to be one that goes.
    stays: bool,
}

impl Stripper {
    /// Takes the next bytes and the ends of events in them, each with whether the event goes; passes
    /// on what stays.
    pub fn push(&mut self, bytes: &Bytes, ends: &[(usize, bool)], out: &mut dyn FnMut(Bytes)) {
        // Events that stay and follow each other are passed on as one piece.
        let (mut from, mut kept) = (0, 0);
        for &(end, goes) in ends {
            if goes && !self.stays {
                pass(bytes, from, kept, out);
                from = end;
                self.drop_held();
            } else {
                self.release(out);
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
            if self.held_bytes > HELD_BYTES {
                self.release(out);
                self.stays = true;
            }
        }
    }

    /// The stream is over: what was held back goes out.
    pub fn finish(&mut self, out: &mut dyn FnMut(Bytes)) {
        self.release(out);
    }

    fn release(&mut self, out: &mut dyn FnMut(Bytes)) {
        self.held_bytes = 0;
        self.held.drain(..).for_each(out);
    }

    fn drop_held(&mut self) {
        self.held_bytes = 0;
        self.held.clear();
    }
}

fn pass(bytes: &Bytes, from: usize, to: usize, out: &mut dyn FnMut(Bytes)) {
    if from < to {
        out(bytes.slice(from..to));
    }
}
