//! `flotilla tokens` as clap sees it.

use clap::Subcommand;
use flotilla_admin::auth::Role;
use flotilla_core::Tenant;

/// `flotilla tokens`
#[derive(Debug, Subcommand)]
pub(crate) enum Tokens {
    /// Make a token: shows it once, with the lines of the configuration that let it in
    New {
        /// Whose it is, in logs and in the audit log: lower-case letters, digits, '.', '_', '-'
        name: Tenant,
        /// producer (enqueues), viewer, operator or admin
        #[arg(long)]
        role: Role,
        /// Hold it to this tenant (repeatable); without it: all tenants
        #[arg(long = "tenant", value_name = "TENANT")]
        tenants: Vec<Tenant>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}
