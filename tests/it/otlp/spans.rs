//! Spans made up for one rule each.
