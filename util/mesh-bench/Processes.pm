package Processes;

# What util/bench starts, in a directory of its own: nginx, providers, load.
# All of it ends with the benchmark.

use strict;
use warnings;

use Exporter qw(import);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

our @EXPORT = qw(alive stop pinned spawn line slurp detached free_port
                 write_conf check_conf start_nginx $dir $nginx);

our $dir = tempdir('mesh-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;

our $nginx = $ENV{NGINX} || '/usr/sbin/nginx';

# the worker of a master that is a child
my %worker_of;

my (%child, $stopping);


sub alive {
    my $pid = shift;

    return kill(0, $pid) && waitpid($pid, WNOHANG) == 0;
}


sub stop {
    my @pids = grep { $child{$_} } @_;

    kill 'TERM', @pids;

    my $until = time + 3;
    sleep 0.02 while time < $until && grep { alive($_) } @pids;

    for my $pid (@pids) {
        if (kill 0, $pid) {
            kill 'KILL', $pid, grep { defined } $worker_of{$pid};
        }

        waitpid($pid, 0);
        my $fh = delete $child{$pid};
        close $fh if ref $fh;
    }
}


sub quit {
    return if $stopping++;

    local $?;
    stop(keys %child);
}

END { quit() }

$SIG{INT} = $SIG{TERM} = $SIG{HUP} = sub { quit(); exit 130 };
$SIG{PIPE} = 'IGNORE';


# neighbours on the machine disturb less when the superuser asks for priority

sub pinned {
    my $core = shift;

    return (($> == 0 ? ('nice', '-n', '-10') : ()), 'taskset', '-c', $core);
}


sub spawn {
    my @command = @_;

    my $pid = open(my $fh, '-|');
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        $stopping = 1;
        open STDERR, '>>', "$dir/stderr";
        exec 'sh', '-c', 'ulimit -n "$(ulimit -Hn)"; exec "$@"', 'sh',
             @command
            or POSIX::_exit(127);
    }

    $child{$pid} = $fh;

    return ($pid, $fh);
}


sub line {
    my ($pid, $fh, $limit) = @_;

    my $line = eval {
        local $SIG{ALRM} = sub { die "timeout\n" };
        alarm $limit;
        my $l = <$fh>;
        alarm 0;
        $l;
    };

    alarm 0;

    return $line if defined $line;

    stop($pid);
    die "a process gave no answer in time, its messages:\n", slurp("stderr");
}


sub slurp {
    my $name = shift;

    open my $fh, '<', $name =~ m{^/} ? $name : "$dir/$name" or return '';
    local $/;

    return scalar <$fh> // '';
}


sub free_port {
    my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1',
                                  LocalPort => 0) or die "no port: $!\n";
    return $s->sockport;
}


sub write_conf {
    my ($name, $text) = @_;

    mkdir "$dir/$name";
    open my $fh, '>', "$dir/$name/nginx.conf" or die "$dir/$name: $!\n";
    print $fh $text;
    close $fh;
}


sub check_conf {
    my $name = shift;

    my $out = `$nginx -t -p $dir/$name -c $dir/$name/nginx.conf 2>&1`;

    return $? == 0 ? '' : $out || 'no message';
}


sub worker {
    my $master = shift;

    for my $stat (glob '/proc/[0-9]*/stat') {
        my ($pid, $ppid) = slurp($stat) =~ /^(\d+) \(.*\) \S (\d+)/s
            or next;
        return $pid if $ppid == $master
            && slurp("/proc/$pid/cmdline") =~ /^nginx: worker process/;
    }

    return undef;
}


sub start_nginx {
    my ($name, %ports) = @_;

    my ($pid) = spawn(pinned(0), $nginx, '-p', "$dir/$name", '-c',
                      "$dir/$name/nginx.conf");
    my ($port) = values %ports;

    for (1 .. 100) {
        last unless alive($pid);

        if (my $worker = worker($pid)) {
            if (IO::Socket::INET->new("127.0.0.1:$port")) {
                $worker_of{$pid} = $worker;
                sleep 0.1;
                return map {
                    $_ => { pid => $worker, master => $pid,
                            addr => "127.0.0.1:$ports{$_}" }
                } keys %ports;
            }
        }

        sleep 0.05;
    }

    die "nginx \"$name\" does not start:\n", slurp("$name/error.log"),
        slurp('stderr');
}


# a child that measures on its own must not end the others

sub detached { $stopping = 1 }


1;
