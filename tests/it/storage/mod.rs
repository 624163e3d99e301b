//! The database file under crashes, damage, wrong clocks, odd mounts, backups and upgrades.

mod backups;
mod clocks;
mod crash;
mod damage;
mod files;
mod mounts;
mod place;
mod unreadable;
mod upgrades;
