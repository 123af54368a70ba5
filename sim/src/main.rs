//! `dfaas-sim`: drives the decisions of dfaas in virtual time.

mod cli;

fn main() -> anyhow::Result<()> {
    cli::main()
}
