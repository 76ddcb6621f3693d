//! The arguments of `pikoci store …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Output;

/// How a store is named, for the help of every command.
const NAMES: &str = "\
Stores:
  sled:PATH, sqlite:PATH               a directory, a file
  postgres://USER@HOST/NAME            PostgreSQL
  mysql://USER@HOST/NAME               MySQL, MariaDB
  etcd://HOST:PORT,HOST:PORT           etcd
  @FILE                                the URL in the first line of a file

Everybody on this machine can see the arguments of a program. Where the URL
has a password, say @FILE; with --db-system (all but copy have it), say
--db-password-file or set PIKOCI_DB_PASSWORD in the environment.";

/// What can be done with stores.
#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// Copy all that is in one store to another
    Copy(Copy),
    /// Write all that is in a store as lines of JSON
    Export(Export),
    /// Fill a store from an export
    Import(Import),
    /// Read all that is in a store, and tell what is there and what is damaged
    Check(Check),
}

/// `pikoci store copy`.
#[derive(Debug, Args)]
#[command(after_help = NAMES)]
pub(crate) struct Copy {
    /// The store to read; one on a server may be in use
    #[arg(value_name = "FROM")]
    pub(crate) from: String,
    /// The store to write; nobody else may write to it meanwhile
    #[arg(value_name = "TO")]
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) replace: Replace,
    #[command(flatten)]
    pub(crate) passes: Passes,
    /// What to print: text for people, or one JSON object
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
}

/// `pikoci store export`.
#[derive(Debug, Args)]
#[command(after_help = NAMES)]
pub(crate) struct Export {
    /// The store to read; one on a server may be in use
    #[arg(value_name = "URL")]
    pub(crate) first: Option<String>,
    /// The file to write; without one, or with -, standard output
    #[arg(value_name = "FILE")]
    pub(crate) second: Option<String>,
    #[command(flatten)]
    pub(crate) database: Database,
    #[command(flatten)]
    pub(crate) passes: Passes,
    /// How to tell what was exported: text for people, or one JSON object
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
}

/// `pikoci store import`.
#[derive(Debug, Args)]
#[command(after_help = NAMES)]
pub(crate) struct Import {
    /// The store to write; nobody else may write to it meanwhile
    #[arg(value_name = "URL")]
    pub(crate) first: Option<String>,
    /// The export to read; without one, or with -, standard input
    #[arg(value_name = "FILE")]
    pub(crate) second: Option<String>,
    #[command(flatten)]
    pub(crate) database: Database,
    #[command(flatten)]
    pub(crate) replace: Replace,
    /// What to print: text for people, or one JSON object
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
}

/// `pikoci store check`.
#[derive(Debug, Args)]
#[command(after_help = NAMES)]
pub(crate) struct Check {
    /// The store to read; one on a server may be in use
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) database: Database,
    /// What to print: text for people, or one JSON object
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
}

/// What to do about a target that is not empty.
#[derive(Debug, Args)]
pub(crate) struct Replace {
    /// Make a store that is not empty hold the same as the source: what the
    /// source does not have is removed. Goes on where a copy was cut off
    #[arg(long)]
    pub(crate) replace: bool,
}

/// How long a store in use is read.
#[derive(Debug, Args)]
pub(crate) struct Passes {
    /// How often to read all, at most, until nothing changes any more
    #[arg(long, value_name = "COUNT", default_value_t = pikoci_store::transfer::DEFAULT_PASSES,
          value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) passes: u32,
}

/// The heading of what names a store by its parts.
const IN_PLACE: &str = "In place of a URL";

/// A store named by its parts.
#[derive(Debug, Default, Args)]
pub(crate) struct Database {
    /// mem, sled, sqlite, postgres, mysql, mariadb or etcd
    #[arg(long, help_heading = IN_PLACE, value_name = "SYSTEM")]
    pub(crate) db_system: Option<String>,
    /// Where the server is
    #[arg(long, help_heading = IN_PLACE, value_name = "HOST", requires = "db_system")]
    pub(crate) db_host: Option<String>,
    /// The port of the server
    #[arg(long, help_heading = IN_PLACE, value_name = "PORT", requires = "db_system")]
    pub(crate) db_port: Option<u16>,
    /// The name to log in with
    #[arg(long, help_heading = IN_PLACE, value_name = "USER", requires = "db_system")]
    pub(crate) db_user: Option<String>,
    /// Its password; others can see it here
    #[arg(long, help_heading = IN_PLACE, value_name = "PASSWORD", requires = "db_system")]
    pub(crate) db_password: Option<String>,
    /// A file with the password in its first line
    #[arg(long, help_heading = IN_PLACE, value_name = "FILE", requires = "db_system", conflicts_with = "db_password")]
    pub(crate) db_password_file: Option<PathBuf>,
    /// The name of the database, or the path
    #[arg(long, help_heading = IN_PLACE, value_name = "NAME", requires = "db_system")]
    pub(crate) db_name: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn store(arguments: &str) -> Result<Store, String> {
        let words = ["pikoci", "store"].into_iter().chain(arguments.split_whitespace());
        match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Store(store) => Ok(store),
            _ => Err("not a store command".into()),
        }
    }

    #[test]
    fn the_flags_of_the_original_are_understood() {
        let arguments = "export out.jsonl --db-system postgres --db-host db --db-port 5432 \
                         --db-user ci --db-password-file pw --db-name ci --passes 9";
        let Ok(Store::Export(export)) = store(arguments) else { panic!("export") };
        assert_eq!(export.first.as_deref(), Some("out.jsonl"));
        assert_eq!(export.database.db_port, Some(5432));
        assert_eq!(export.passes.passes, 9);
    }

    #[test]
    fn mistakes_in_arguments_are_refused() {
        for (arguments, says) in [
            ("copy sled:a", "<TO>"),
            ("check --db-host db", "--db-system"),
            ("export sled:a --passes 1", "2.."),
            ("import sled:a b c", "unexpected argument"),
            ("check x --db-system a --db-password x --db-password-file y", "cannot be used"),
        ] {
            let error = store(arguments).map(|_| ()).unwrap_err();
            assert!(error.contains(says), "{arguments}: {error}");
        }
    }
}
