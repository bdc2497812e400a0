//! `mpirun` on a machine for tests.

use std::process::Command;

/// A launcher of this number of processes.
pub(crate) fn mpirun(ranks: usize) -> Command {
    let mut mpirun = Command::new(std::env::var_os("MPIRUN").unwrap_or_else(|| "mpirun".into()));
    // More ranks than cores are Open MPI's to allow, and a machine for tests has one user.
    mpirun.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    mpirun.env("OMPI_MCA_rmaps_base_oversubscribe", "1").env("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe");
    mpirun.env("OMPI_MCA_hwloc_base_binding_policy", "none");
    mpirun.args(["-n", &ranks.to_string()]);
    mpirun
}
