//! The runs of a shard as a Parquet file. The files of all shards of a grid have the same columns.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use dfaas_sim::report::Totals;
use dfaas_sim::sweep::{Column, Grid, Outcome, Row};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

/// Rows that stand together in a file.
const GROUP: usize = 100_000;

/// Writes the file, or replaces it as a whole.
pub(super) fn write(path: &Path, grid: &Grid, rows: &[Row]) -> anyhow::Result<()> {
    let failed = || format!("{} cannot be written", path.display());
    let beside = path.with_extension("parquet.part");
    let fields: Vec<String> = columns(grid, &[])?.iter().map(field).collect();
    let schema = parse_message_type(&format!("message run {{ {} }}", fields.concat()))?;
    let properties = WriterProperties::builder()
        .set_created_by(concat!("dfaas-sim ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    let file = File::create(&beside).with_context(failed)?;
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?;
    for group in rows.chunks(GROUP) {
        let mut into = writer.next_row_group()?;
        for (_, column) in columns(grid, group)? {
            append(&mut into, &column)?;
        }
        into.close()?;
    }
    writer.close()?;
    std::fs::rename(&beside, path).with_context(failed)
}

fn field((name, column): &(String, Column)) -> String {
    match column {
        Column::Integers(_) => format!("REQUIRED INT64 {name}; "),
        Column::Reals(_) => format!("REQUIRED DOUBLE {name}; "),
        Column::Texts(_) => format!("REQUIRED BYTE_ARRAY {name} (STRING); "),
    }
}

fn append(into: &mut SerializedRowGroupWriter<'_, File>, column: &Column) -> anyhow::Result<()> {
    let writer = into.next_column()?;
    let mut writer = writer.context("the schema has fewer columns than the rows")?;
    match column {
        Column::Integers(values) => {
            writer
                .typed::<Int64Type>()
                .write_batch(values, None, None)?;
        }
        Column::Reals(values) => {
            writer
                .typed::<DoubleType>()
                .write_batch(values, None, None)?;
        }
        Column::Texts(values) => {
            let values: Vec<ByteArray> = values.iter().map(|text| text.as_str().into()).collect();
            writer
                .typed::<ByteArrayType>()
                .write_batch(&values, None, None)?;
        }
    }
    Ok(writer.close()?)
}

/// All columns: what tells the runs apart, then what they came to.
fn columns(grid: &Grid, rows: &[Row]) -> anyhow::Result<Vec<(String, Column)>> {
    let text = |of: &dyn Fn(&Row) -> String| Column::Texts(rows.iter().map(of).collect());
    let name = |name: &str| text(&|_| name.to_owned());
    let points: Vec<usize> = rows.iter().map(|row| row.point).collect();
    let seeds = rows.iter().map(|row| i64::try_from(row.seed));
    let seeds = seeds.collect::<Result<_, _>>();
    let mut all = vec![
        ("run".to_owned(), text(&|row| row.run.clone())),
        ("grid".to_owned(), name(&grid.name)),
    ];
    for (place, key) in grid.keys.iter().enumerate() {
        all.push((plain(key), grid.column(place, &points)));
    }
    let strategies = text(&|row| row.strategy.to_string());
    let seeds = Column::Integers(seeds.context("a seed in a sweep is below 2^63")?);
    all.push(("strategy".to_owned(), strategies));
    all.push(("seed".to_owned(), seeds));
    all.extend(figures(rows).map(|(name, column)| (name.to_owned(), column)));
    let mut names: Vec<&String> = all.iter().map(|(name, _)| name).collect();
    names.sort();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!(
            "two columns would have the name {}; leave one of the keys out",
            twice[0]
        );
    }
    Ok(all)
}

/// `nodes.count` as `nodes_count`, which SQL takes without quotes.
fn plain(key: &str) -> String {
    let one = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    key.chars().map(one).collect()
}

fn figures(rows: &[Row]) -> impl Iterator<Item = (&'static str, Column)> {
    let whole = |of: fn(&Totals) -> u64| {
        let of = |row: &Row| of(&row.outcome.totals) as i64;
        Column::Integers(rows.iter().map(of).collect())
    };
    let real = |of: fn(&Totals) -> f64| {
        Column::Reals(rows.iter().map(|row| of(&row.outcome.totals)).collect())
    };
    let about =
        |of: fn(&Outcome) -> f64| Column::Reals(rows.iter().map(|row| of(&row.outcome)).collect());
    let reasons = |row: &Row| serde_json::json!(row.outcome.totals.refused_by).to_string();
    let events = rows.iter().map(|row| row.outcome.events as i64).collect();
    [
        ("seconds", about(|run| run.seconds)),
        ("ended_s", about(|run| run.ended_s)),
        ("events", Column::Integers(events)),
        ("one_hop_bound", about(|run| run.one_hop_bound)),
        ("of_bound", about(of_bound)),
        ("offered", whole(|t| t.offered)),
        ("served", whole(|t| t.served)),
        ("refused", whole(|t| t.refused)),
        (
            "refused_by",
            Column::Texts(rows.iter().map(reasons).collect()),
        ),
        ("lost", whole(|t| t.lost)),
        ("served_share", real(|t| t.served_share)),
        ("forwards", whole(|t| t.forwards)),
        ("peer_refusals", whole(|t| t.peer_refusals)),
        ("unreached", whole(|t| t.unreached)),
        ("forwards_per_call", real(|t| t.forwards_per_call)),
        ("peer_refusal_share", real(|t| t.peer_refusal_share)),
        ("hops", real(|t| t.hops)),
        ("waited", whole(|t| t.waited)),
        ("wait_ms", real(|t| t.wait_ms)),
        ("cold_starts", whole(|t| t.cold_starts)),
        ("mean_ms", real(|t| t.mean_ms)),
        ("p50_ms", real(|t| t.p50_ms)),
        ("p90_ms", real(|t| t.p90_ms)),
        ("p95_ms", real(|t| t.p95_ms)),
        ("p99_ms", real(|t| t.p99_ms)),
        ("p999_ms", real(|t| t.p999_ms)),
        ("max_ms", real(|t| t.max_ms)),
        ("jain", real(|t| t.jain)),
        ("messages", whole(|t| t.messages)),
        ("message_bytes", whole(|t| t.message_bytes)),
        ("joules", real(|t| t.joules)),
    ]
    .into_iter()
}

fn of_bound(run: &Outcome) -> f64 {
    if run.one_hop_bound > 0.0 {
        run.totals.served as f64 / run.one_hop_bound
    } else {
        1.0
    }
}
