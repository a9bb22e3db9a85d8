//! CRI's signals: a container's `stop_signal`.

macro_rules! signals {
    ($($variant:ident = $number:literal, $name:literal;)+) => {
        /// A signal, as CRI numbers them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
        #[repr(i32)]
        #[allow(missing_docs)] // they are their names
        pub enum Signal {
            /// What the runtime thinks best: the image's, else SIGTERM.
            RuntimeDefault = 0,
            $($variant = $number,)+
        }

        impl Signal {
            /// Its name as Kubernetes writes it, such as `SIGTERM` or `SIGRTMIN+3`; none for the runtime's default.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    Self::RuntimeDefault => None,
                    $(Self::$variant => Some($name),)+
                }
            }

            /// The signal of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

signals! {
    Sigabrt = 1, "SIGABRT";
    Sigalrm = 2, "SIGALRM";
    Sigbus = 3, "SIGBUS";
    Sigchld = 4, "SIGCHLD";
    Sigcld = 5, "SIGCLD";
    Sigcont = 6, "SIGCONT";
    Sigfpe = 7, "SIGFPE";
    Sighup = 8, "SIGHUP";
    Sigill = 9, "SIGILL";
    Sigint = 10, "SIGINT";
    Sigio = 11, "SIGIO";
    Sigiot = 12, "SIGIOT";
    Sigkill = 13, "SIGKILL";
    Sigpipe = 14, "SIGPIPE";
    Sigpoll = 15, "SIGPOLL";
    Sigprof = 16, "SIGPROF";
    Sigpwr = 17, "SIGPWR";
    Sigquit = 18, "SIGQUIT";
    Sigsegv = 19, "SIGSEGV";
    Sigstkflt = 20, "SIGSTKFLT";
    Sigstop = 21, "SIGSTOP";
    Sigsys = 22, "SIGSYS";
    Sigterm = 23, "SIGTERM";
    Sigtrap = 24, "SIGTRAP";
    Sigtstp = 25, "SIGTSTP";
    Sigttin = 26, "SIGTTIN";
    Sigttou = 27, "SIGTTOU";
    Sigurg = 28, "SIGURG";
    Sigusr1 = 29, "SIGUSR1";
    Sigusr2 = 30, "SIGUSR2";
    Sigvtalrm = 31, "SIGVTALRM";
    Sigwinch = 32, "SIGWINCH";
    Sigxcpu = 33, "SIGXCPU";
    Sigxfsz = 34, "SIGXFSZ";
    Sigrtmin = 35, "SIGRTMIN";
    Sigrtminplus1 = 36, "SIGRTMIN+1";
    Sigrtminplus2 = 37, "SIGRTMIN+2";
    Sigrtminplus3 = 38, "SIGRTMIN+3";
    Sigrtminplus4 = 39, "SIGRTMIN+4";
    Sigrtminplus5 = 40, "SIGRTMIN+5";
    Sigrtminplus6 = 41, "SIGRTMIN+6";
    Sigrtminplus7 = 42, "SIGRTMIN+7";
    Sigrtminplus8 = 43, "SIGRTMIN+8";
    Sigrtminplus9 = 44, "SIGRTMIN+9";
    Sigrtminplus10 = 45, "SIGRTMIN+10";
    Sigrtminplus11 = 46, "SIGRTMIN+11";
    Sigrtminplus12 = 47, "SIGRTMIN+12";
    Sigrtminplus13 = 48, "SIGRTMIN+13";
    Sigrtminplus14 = 49, "SIGRTMIN+14";
    Sigrtminplus15 = 50, "SIGRTMIN+15";
    Sigrtmaxminus14 = 51, "SIGRTMAX-14";
    Sigrtmaxminus13 = 52, "SIGRTMAX-13";
    Sigrtmaxminus12 = 53, "SIGRTMAX-12";
    Sigrtmaxminus11 = 54, "SIGRTMAX-11";
    Sigrtmaxminus10 = 55, "SIGRTMAX-10";
    Sigrtmaxminus9 = 56, "SIGRTMAX-9";
    Sigrtmaxminus8 = 57, "SIGRTMAX-8";
    Sigrtmaxminus7 = 58, "SIGRTMAX-7";
    Sigrtmaxminus6 = 59, "SIGRTMAX-6";
    Sigrtmaxminus5 = 60, "SIGRTMAX-5";
    Sigrtmaxminus4 = 61, "SIGRTMAX-4";
    Sigrtmaxminus3 = 62, "SIGRTMAX-3";
    Sigrtmaxminus2 = 63, "SIGRTMAX-2";
    Sigrtmaxminus1 = 64, "SIGRTMAX-1";
    Sigrtmax = 65, "SIGRTMAX";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_those_of_the_interface() {
        for (number, name) in [(1, "SIGABRT"), (23, "SIGTERM"), (35, "SIGRTMIN"), (36, "SIGRTMIN+1"), (65, "SIGRTMAX")]
        {
            let signal = Signal::try_from(number).expect("a signal");
            assert_eq!(signal.name(), Some(name));
            assert_eq!(Signal::from_name(name), Some(signal));
        }
        assert_eq!((Signal::default(), Signal::RuntimeDefault.name()), (Signal::RuntimeDefault, None));
        assert_eq!(Signal::from_name("SIGNAL"), None);
    }
}
