//! What the machine uses: CPU and memory from `/proc`, power from RAPL where it can be read, else estimated.

use std::fs;
use std::path::{Path, PathBuf};

use dfaas_protocol::Time;
use dfaas_protocol::strategy::NodeState;

/// The power of a machine whose power cannot be measured: linear in the use of its CPUs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EstimatedPower {
    /// With its CPUs idle, in watts.
    pub idle_watts: f64,
    /// With its CPUs fully used, in watts.
    pub full_watts: f64,
}

/// Measures the machine from period to period.
#[derive(Debug)]
pub struct Machine {
    proc: PathBuf,
    powercap: PathBuf,
    estimated: Option<EstimatedPower>,
    /// Ticks that the CPUs were busy, and all.
    ticks: Option<(u64, u64)>,
    /// Microjoules of each package, and when.
    energy: Option<(Time, Vec<u64>)>,
}

impl Machine {
    /// This machine.
    pub fn new(estimated: Option<EstimatedPower>) -> Machine {
        Machine::at("/proc", "/sys/class/powercap", estimated)
    }

    fn at(
        proc: impl Into<PathBuf>,
        powercap: impl Into<PathBuf>,
        estimated: Option<EstimatedPower>,
    ) -> Machine {
        Machine {
            proc: proc.into(),
            powercap: powercap.into(),
            estimated,
            ticks: None,
            energy: None,
        }
    }

    /// What it used since it was last asked; what cannot be read is not there.
    pub fn read(&mut self, now: Time) -> NodeState {
        let cpu_percent = self.cpu_percent();
        let estimated = |EstimatedPower {
                             idle_watts,
                             full_watts,
                         }| {
            let watts = idle_watts + (full_watts - idle_watts) * cpu_percent? / 100.0;
            Some(1e6 * watts)
        };
        NodeState {
            cpu_percent,
            memory_bytes: self.memory_bytes(),
            power_microwatts: self
                .measured_power(now)
                .or_else(|| self.estimated.and_then(estimated)),
        }
    }

    fn cpu_percent(&mut self) -> Option<f64> {
        let stat = fs::read_to_string(self.proc.join("stat")).ok()?;
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user and nice already.
        let ticks: Vec<u64> = line
            .split_ascii_whitespace()
            .take(8)
            .map_while(|tick| tick.parse().ok())
            .collect();
        let all: u64 = ticks.iter().sum();
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        let busy = all - idle;
        let (busy_before, all_before) = self.ticks.replace((busy, all))?;
        let all = all.checked_sub(all_before).filter(|all| *all > 0)?;
        let busy = busy.saturating_sub(busy_before).min(all);
        Some(100.0 * busy as f64 / all as f64)
    }

    fn memory_bytes(&self) -> Option<f64> {
        let text = fs::read_to_string(self.proc.join("meminfo")).ok()?;
        let kibibytes = |key: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().strip_suffix("kB")?.trim().parse().ok()
        };
        let used = kibibytes("MemTotal:")?.checked_sub(kibibytes("MemAvailable:")?)?;
        Some(used as f64 * 1024.0)
    }

    /// The energy of all packages since the last reading, over the time.
    fn measured_power(&mut self, now: Time) -> Option<f64> {
        let packages = packages(&self.powercap);
        let energy: Option<Vec<u64>> = packages
            .iter()
            .map(|package| number(&package.join("energy_uj")))
            .collect();
        let energy = energy.filter(|energy| !energy.is_empty())?;
        let (then, before) = self.energy.replace((now, energy.clone()))?;
        let seconds = now.since(then).as_secs_f64();
        if before.len() != energy.len() || seconds <= 0.0 {
            return None;
        }
        let mut sum = 0;
        for ((package, now), before) in packages.iter().zip(energy).zip(before) {
            sum += match now.checked_sub(before) {
                Some(used) => used,
                // The counter began anew.
                None => number(&package.join("max_energy_range_uj"))?.checked_sub(before)? + now,
            };
        }
        Some(sum as f64 / seconds)
    }
}

/// The packages of the machine, without the parts of each, which are in it already.
fn packages(powercap: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(powercap).into_iter().flatten().flatten();
    let mut packages: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let number = name.strip_prefix("intel-rapl:");
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        })
        .map(|entry| entry.path())
        .collect();
    packages.sort();
    packages
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn files_are_read_and_differences_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (proc, powercap) = (dir.path().join("proc"), dir.path().join("powercap"));
        for package in ["intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"] {
            fs::create_dir_all(powercap.join(package)).unwrap();
        }
        fs::create_dir(&proc).unwrap();
        let write = |cpu: &str, energy: [u64; 2]| {
            fs::write(proc.join("stat"), format!("{cpu}\ncpu0 1 2 3\n")).unwrap();
            for (package, energy) in energy.iter().enumerate() {
                let package = powercap.join(format!("intel-rapl:{package}"));
                fs::write(package.join("energy_uj"), format!("{energy}\n")).unwrap();
                fs::write(package.join("max_energy_range_uj"), "100000000\n").unwrap();
            }
            fs::write(powercap.join("intel-rapl:0:0/energy_uj"), "7\n").unwrap();
        };
        let meminfo = "MemTotal:  4000 kB\nMemFree: 1 kB\nMemAvailable:    3000 kB\n";
        fs::write(proc.join("meminfo"), meminfo).unwrap();
        let mut machine = Machine::at(&proc, &powercap, None);
        write("cpu  100 0 50 800 50 0 0 0 9 9", [5_000_000, 99_000_000]);
        let first = machine.read(at(1));
        assert_eq!((first.cpu_percent, first.power_microwatts), (None, None));
        assert_eq!(first.memory_bytes, Some(1000.0 * 1024.0));
        // 30 of 200 ticks; 8 J and, past the end of the counter, 1 + 3 J in two seconds.
        write("cpu  120 0 55 940 80 0 5 0 9 9", [13_000_000, 3_000_000]);
        let second = machine.read(at(3));
        assert_eq!(second.cpu_percent, Some(15.0));
        assert_eq!(second.power_microwatts, Some(6e6));
    }

    #[test]
    fn power_that_cannot_be_read_is_estimated() {
        let dir = tempfile::tempdir().unwrap();
        let estimated = EstimatedPower {
            idle_watts: 5.0,
            full_watts: 15.0,
        };
        let mut machine = Machine::at(dir.path(), dir.path().join("none"), Some(estimated));
        assert_eq!(machine.read(at(1)), NodeState::default());
        for (line, expected) in [("cpu 0 0 0 100", None), ("cpu 30 0 0 170", Some(8e6))] {
            fs::write(dir.path().join("stat"), line).unwrap();
            assert_eq!(machine.read(at(2)).power_microwatts, expected);
        }
    }

    #[test]
    fn this_machine_has_a_cpu_and_memory() {
        let mut machine = Machine::new(None);
        machine.read(at(0));
        let memory = machine.read(at(1)).memory_bytes.unwrap();
        assert!(memory > 1e6, "{memory}");
        assert!(machine.ticks.unwrap().1 > 0);
    }
}
