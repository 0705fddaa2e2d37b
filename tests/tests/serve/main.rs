//! The server of the local cache, with the real `bst` and other clients of gRPC.

mod access;
mod clients;
mod protocol;
mod shares;
mod trusts;
