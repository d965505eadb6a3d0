//! What a file that fills a new database says, as the database's own client reads it.
//!
//! SQL is taken as it stands. JSON is an object of tables, each a list of rows, each an object of columns, written into the database in
//! the order of the file: tables that others refer to come first. Nothing of the file reaches a statement but as a literal that no
//! text can end, or as a name of plain characters. MongoDB's client reads JSON itself, as data and never as a program
//! (`compose::client`): of a file for it is looked at whether it may be taken, and it is handed on as it is.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;

use crate::backing::Database;

/// Longest name of a table or column; no database takes a longer one.
const LONGEST_NAME: usize = 64;
/// Whole numbers beyond that a JSON reader doesn't keep.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Why a file in JSON is no content of a database. Shows no more of it than names of tables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSeed {
    /// It doesn't parse.
    #[error("is not valid JSON (line {line}, column {column})")]
    NotJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// It is JSON of another shape.
    #[error(
        "must be an object that has a list of rows for each table, such as `{{\"users\": [{{\"name\": \"Ada\"}}]}}` (line {line}, column \
         {column} is something else)"
    )]
    OtherShape {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A table has a name that none can have here.
    #[error("names a table in other characters than letters, digits, `_`, `-`, `$` and one `.` behind a schema")]
    TableName,
    /// A collection has a name that MongoDB keeps for itself, or takes from nobody.
    #[error(
        "names a collection in other characters than letters, digits, `_`, `-` and, between others, `.`, or one that begins with `system.`"
    )]
    CollectionName,
    /// The same collection again: a reader of JSON would take the last one alone.
    #[error("has the collection `{0}` twice")]
    Twice(String),
    /// Something is wrong with a row.
    #[error("row {row} of `{table}` {problem}")]
    Row {
        /// Which table.
        table: String,
        /// Which of its rows, from 1.
        row: usize,
        /// What.
        problem: RowProblem,
    },
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowProblem {
    /// It has no column.
    #[error("has no column")]
    Empty,
    /// It has a column with a name that none can have here.
    #[error("names a column in other characters than letters, digits, `_`, `-` and `$`")]
    ColumnName,
    /// It has a text that no database takes.
    #[error("has a text with the character NUL in it")]
    Nul,
    /// It has a number of which something would be lost.
    #[error("has a number with too many digits; write it as a text, in quotes")]
    Inexact,
    /// The same, where there is a way to write it.
    #[error(
        "has a number with too many digits; write it as `{{\"$numberLong\": \"…\"}}` or `{{\"$numberDecimal\": \"…\"}}`"
    )]
    InexactDocument,
}

/// What the database's client reads of a file of this name.
pub fn statements(path: &str, text: &str, database: Database) -> Result<String, InvalidSeed> {
    if !path.ends_with(crate::repo_config::JSON) {
        return Ok(text.to_owned());
    }
    let tables: Ordered<Vec<Ordered<Value>>> = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Data => InvalidSeed::OtherShape { line, column },
            Category::Syntax | Category::Eof | Category::Io => InvalidSeed::NotJson { line, column },
        }
    })?;
    let dialect = match database {
        Database::Postgres => Dialect::Postgres,
        Database::Mysql | Database::MariaDb => Dialect::Mysql,
        Database::MongoDb => return collections(&tables).map(|()| text.to_owned()),
    };
    let mut statements = dialect.opening().to_owned();
    for (table, rows) in &tables.0 {
        let name = dialect.table(table).ok_or(InvalidSeed::TableName)?;
        for (index, row) in rows.iter().enumerate() {
            let wrong = |problem| InvalidSeed::Row { table: table.clone(), row: index + 1, problem };
            statements.push_str(&insert(dialect, &name, row).map_err(wrong)?);
        }
    }
    statements.push_str(dialect.closing());
    Ok(statements)
}

/// Whether a file may be taken for MongoDB: whether its client would read in it what stands in it.
fn collections(all: &Ordered<Vec<Ordered<Value>>>) -> Result<(), InvalidSeed> {
    let mut names = BTreeSet::new();
    for (name, documents) in &all.0 {
        let plain = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        let dots = name.starts_with('.') || name.ends_with('.') || name.contains("..");
        let kept = name.starts_with("system.");
        if name.is_empty() || name.len() > LONGEST_NAME || dots || kept || !name.chars().all(plain) {
            return Err(InvalidSeed::CollectionName);
        }
        if !names.insert(name) {
            return Err(InvalidSeed::Twice(name.clone()));
        }
        let inexact = |document: &Ordered<Value>| document.0.iter().any(|(_, value)| has_inexact(value));
        if let Some(row) = documents.iter().position(inexact) {
            let problem = RowProblem::InexactDocument;
            return Err(InvalidSeed::Row { table: name.clone(), row: row + 1, problem });
        }
    }
    Ok(())
}

/// Whether there is a number in it of which a reader of JSON would lose something.
fn has_inexact(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_none_or(|number| number.abs() >= EXACT),
        Value::Array(values) => values.iter().any(has_inexact),
        Value::Object(values) => values.values().any(has_inexact),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

fn insert(dialect: Dialect, table: &str, row: &Ordered<Value>) -> Result<String, RowProblem> {
    let (mut columns, mut values) = (Vec::new(), Vec::new());
    for (column, value) in &row.0 {
        columns.push(dialect.name(column).ok_or(RowProblem::ColumnName)?);
        values.push(dialect.value(value)?);
    }
    if columns.is_empty() {
        return Err(RowProblem::Empty);
    }
    Ok(format!("INSERT INTO {table} ({}) VALUES ({});\n", columns.join(", "), values.join(", ")))
}

// -------------------------------------------------------------------------------------------------------------- dialects

/// How a database is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Postgres,
    Mysql,
}

/// Rows that bring their numbers with them leave the counters behind, and the app's first row of its own would get a number that is
/// taken: each counter goes on behind the largest.
const COUNTERS: &str = "DO $$
DECLARE counter record;
BEGIN
  FOR counter IN
    SELECT format('%I.%I', n.nspname, c.relname) AS owner, a.attname AS field,
           pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname) AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
  LOOP
    IF counter.name IS NOT NULL THEN
      EXECUTE format('SELECT setval(%L, max(%I)) FROM %s HAVING max(%I) > 0',
                     counter.name, counter.field, counter.owner, counter.field);
    END IF;
  END LOOP;
END $$;
COMMIT;
";

impl Dialect {
    fn opening(self) -> &'static str {
        match self {
            // A backslash is then a character like any other, whatever somebody has configured.
            Self::Postgres => "SET standard_conforming_strings = on;\nSET client_encoding = 'UTF8';\nBEGIN;\n",
            Self::Mysql => "START TRANSACTION;\n",
        }
    }

    fn closing(self) -> &'static str {
        match self {
            Self::Postgres => COUNTERS,
            // Its counters go on by themselves.
            Self::Mysql => "COMMIT;\n",
        }
    }

    /// A table, perhaps in a schema.
    fn table(self, text: &str) -> Option<String> {
        match text.split_once('.') {
            Some((schema, table)) => Some(format!("{}.{}", self.name(schema)?, self.name(table)?)),
            None => self.name(text),
        }
    }

    /// A name in quotes. What would need more than quotes is none.
    fn name(self, text: &str) -> Option<String> {
        let plain = |c: char| c.is_alphanumeric() || "_-$ ".contains(c);
        let valid = !text.trim().is_empty() && text.len() <= LONGEST_NAME && text.chars().all(plain);
        valid.then(|| match self {
            Self::Postgres => format!("\"{text}\""),
            Self::Mysql => format!("`{text}`"),
        })
    }

    fn value(self, value: &Value) -> Result<String, RowProblem> {
        let text = match value {
            Value::Null => return Ok("NULL".to_owned()),
            Value::Bool(true) if self == Self::Mysql => return Ok("TRUE".to_owned()),
            Value::Bool(false) if self == Self::Mysql => return Ok("FALSE".to_owned()),
            Value::Number(number) => {
                let large = number.as_u64().is_none() && number.as_i64().is_none();
                if large && number.as_f64().is_none_or(|number| number.abs() >= EXACT) {
                    return Err(RowProblem::Inexact);
                }
                if self == Self::Mysql {
                    return Ok(number.to_string());
                }
                number.to_string()
            }
            Value::String(text) => text.clone(),
            // For a column of JSON.
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
        };
        self.literal(&text)
    }

    /// A text that ends where it ends, whatever is in it. PostgreSQL makes of it what its column holds.
    fn literal(self, text: &str) -> Result<String, RowProblem> {
        if text.contains('\0') {
            return Err(RowProblem::Nul);
        }
        Ok(match self {
            Self::Postgres => format!("'{}'", text.replace('\'', "''")),
            // Whether a backslash means something, a mode of the server decides: in hexadecimal there is none.
            Self::Mysql => {
                text.bytes().fold("_utf8mb4 X'".to_owned(), |mut literal, byte| {
                    let _ = write!(literal, "{byte:02X}");
                    literal
                }) + "'"
            }
        })
    }
}

// ------------------------------------------------------------------------------------------------------------------ JSON

/// An object whose entries stay in their order.
struct Ordered<V>(Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Ordered<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = Ordered<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn made(json: &str, database: Database) -> String {
        statements("seed.json", json, database).unwrap()
    }

    const SEED: &str = r#"{
        "users": [{"id": 7, "name": "O'Brien \\ ü", "admin": true, "tags": ["a", {"b": null}], "left": null, "weight": 70.5}],
        "app.notes": [{"user_id": 7}, {"message": ""}],
        "nothing yet": []
    }"#;

    #[test]
    fn tables_and_rows_become_statements_in_their_order() {
        insta::assert_snapshot!("postgres", made(SEED, Database::Postgres));
        insta::assert_snapshot!("mysql", made(SEED, Database::Mysql));
        assert_eq!(made(SEED, Database::Mysql), made(SEED, Database::MariaDb));
        let sql = "INSERT INTO users VALUES ('{');";
        assert_eq!(statements("db/seed.sql", sql, Database::Postgres).unwrap(), sql);
    }

    #[test]
    fn as_many_collections_as_a_file_can_have_are_read_quickly() {
        let names = (0..300_000).map(|n| format!("\"{n:06}\":[]")).collect::<Vec<_>>().join(",");
        let begun = std::time::Instant::now();
        statements("seed.json", &format!("{{{names}}}"), Database::MongoDb).unwrap();
        assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    }

    #[test]
    fn what_is_no_content_of_a_database_is_told_without_a_word_of_it() {
        let shape = "must be an object that has a list of rows for each table";
        for (json, expected) in [
            ("{\n\"users\": [,]}", "is not valid JSON (line 2, column 11)"),
            ("", "is not valid JSON (line 1, column 0)"),
            ("[]", shape),
            (r#"{"users": {"name": "hunter2"}}"#, shape),
            (r#"{"users": ["hunter2"]}"#, shape),
            (r#"{"users": [{}]}"#, "row 1 of `users` has no column"),
            (r#"{"users": [{"a": 1}, {"a\"": "hunter2"}]}"#, "row 2 of `users` names a column in other characters"),
            (r#"{"us`ers": []}"#, "names a table in other characters"),
            (r#"{"a.b.c": []}"#, "names a table in other characters"),
            (r#"{"users": [{"name": "hunter2\u0000"}]}"#, "row 1 of `users` has a text with the character NUL in it"),
            (
                r#"{"users": [{"id": 123456789012345678901234567890}]}"#,
                "row 1 of `users` has a number with too many digits",
            ),
        ] {
            let error = statements("seed.json", json, Database::Postgres).unwrap_err().to_string();
            assert!(error.starts_with(expected) && !error.contains("hunter2"), "{json}: {error}");
        }
    }

    /// Its client has read such a file by hand alone: see `docs/GROUND.md`.
    #[test]
    fn a_file_for_mongodb_is_handed_on_as_it_is_or_refused() {
        for fine in [
            r#"{"users": [{"_id": {"$oid": "65a1b2c3d4e5f60718293a4b"}, "name": "O'Brien \\ \" `${x}`"}, {}], "app.notes": [], "2024": []}"#,
            r#"{"users": [{"born": {"$date": "1990-01-02T03:04:05Z"}, "n": 9007199254740991, "big": {"$numberLong": "9223372036854775807"}}]}"#,
            "{}",
        ] {
            assert_eq!(made(fine, Database::MongoDb), fine);
        }
        let name = "names a collection in other characters";
        for (json, expected) in [
            ("[]", "must be an object that has a list of rows"),
            (r#"{"users": ["hunter2"]}"#, "must be an object that has a list of rows"),
            (r#"{"us$ers": []}"#, name),
            (r#"{"$oid": []}"#, name),
            (r#"{"system.users": [{"a": 1}]}"#, name),
            (r#"{"a\u0000b": []}"#, name),
            (r#"{"": []}"#, name),
            (r#"{"a..b": []}"#, name),
            (r#"{"users": [{"a": "hunter2"}], "users": []}"#, "has the collection `users` twice"),
            (
                r#"{"users": [{}, {"a": {"b": [9007199254740993]}, "c": "hunter2"}]}"#,
                "row 2 of `users` has a number with too many",
            ),
        ] {
            let error = statements("seed.json", json, Database::MongoDb).unwrap_err().to_string();
            assert!(error.starts_with(expected) && !error.contains("hunter2"), "{json}: {error}");
        }
    }

    /// What PostgreSQL reads in a literal, and what is left behind it.
    fn literal_of_postgres(text: &str) -> (String, &str) {
        let (mut value, mut rest) = (String::new(), text.strip_prefix('\'').unwrap());
        loop {
            let (before, after) = rest.split_once('\'').unwrap();
            value.push_str(before);
            match after.strip_prefix('\'') {
                Some(after) => {
                    value.push('\'');
                    rest = after;
                }
                None => return (value, after),
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_literal(text in "[^\0]{0,20}|[\\\\';`\"$:]{0,12}") {
            let literal = Dialect::Postgres.literal(&text).unwrap();
            prop_assert_eq!(literal_of_postgres(&literal), (text.clone(), ""));
            let literal = Dialect::Mysql.literal(&text).unwrap();
            let digits = literal.strip_prefix("_utf8mb4 X'").and_then(|rest| rest.strip_suffix('\'')).unwrap();
            prop_assert_eq!(hex::decode(digits).unwrap(), text.as_bytes());
        }

        #[test]
        fn no_name_leaves_its_quotes(text in "\\PC{0,20}|[\"`.; -]{0,8}") {
            for (dialect, quote) in [(Dialect::Postgres, '"'), (Dialect::Mysql, '`')] {
                if let Some(name) = dialect.name(&text) {
                    prop_assert!(!text.contains([quote, '\\', '\'', ';']), "{}", name);
                    prop_assert_eq!(name, format!("{quote}{text}{quote}"));
                }
            }
        }
    }
}
