//! The program with a fake `bst`, and with real servers of mail, IRC, HTTP and git.

mod fake_bst_commands;
mod fake_bst_failures;
mod fake_bst_host;
mod fake_bst_kill;
mod fake_bst_memory;
mod literal_hints;
mod notify_configuration;
mod notify_email;
mod notify_irc;
mod notify_run;
mod notify_webhook;
mod schedule;
mod self_update;
mod self_update_init;
mod self_update_kill;
mod self_update_program;
mod self_update_trust;
mod upload;
mod upstream_failures;
