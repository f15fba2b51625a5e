//! What `--help` says beside the options themselves: the groups that they are in, and what stands behind them.

pub(super) const SERVING: &str = "Serving";
pub(super) const MESSAGES: &str = "Messages";
pub(super) const CONNECTIONS: &str = "Connections";
pub(super) const USERS: &str = "Users and sessions";
pub(super) const STORAGE: &str = "Storage";
pub(super) const LOGGING: &str = "Logging";

/// What stands behind the options.
pub(super) const AFTER_HELP: &str = "\
Durations:
  10s, 5m, 2h, 30d: seconds, minutes, hours, days. A bare number is seconds.

Environment:
  Every option of serving has a variable, named with it above. The option wins. A flag's variable is true or false; the variable of an option that may be given several times is a comma-separated list. Of any other that begins with LOITER_ the log says that it is none.

Signals:
  SIGTERM, SIGINT (Ctrl-C) and SIGHUP (the terminal is closed) end loiter in good order, within --drain-timeout. Another one, a second later or more, ends it at once; one that comes sooner is taken as one with the first. Where SIGHUP is ignored from the start on, as by nohup, it stays so.

Supervisors:
  Sockets that systemd has opened (LISTEN_FDS) are served instead of --listen, so that a restart refuses nobody. NOTIFY_SOCKET is told READY=1, STOPPING=1 and, where WATCHDOG_USEC is set, WATCHDOG=1 while all event loops turn.

Exit status:
  0  ended in good order; of a command: done
  1  could not start, or could not go on; of a command: not done, the reason is on standard error; of check: does not fit
  2  an unknown option, or a bad value
  101  a part of it panicked, which is a defect; the reason is on standard error
  128 and the signal's number  ended at once by another signal";
