package Mesh::Daemon;

# A real server that a test starts: Consul, Redis.  It ends with the test,
# however that ends: at its END, and by a watchdog when there is none.

use strict;
use warnings;

use POSIX qw(WNOHANG);
use Time::HiRes qw(time sleep);

my %running;
my $watchdog;


# new(name => for messages, dir => where it runs and logs, command => [...]);
# the command may be set before each start

sub new {
    my ($class, %o) = @_;
    return bless { owner => $$, %o }, $class;
}


sub pid { $_[0]{pid} }


sub start {
    my ($self) = @_;

    die "$self->{name} runs already" if $self->{pid};

    # a signal that comes early must not run the test's handlers in the child
    my $all = POSIX::SigSet->new;
    my $old = POSIX::SigSet->new;
    $all->fillset;

    watch();
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), $all, $old);

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM PIPE __DIE__ __WARN__);
        POSIX::sigprocmask(POSIX::SIG_SETMASK(), $old);

        # a stopped test's Ctrl-C is not for it
        setpgrp;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/$self->{name}.log";
        open STDERR, '>&', \*STDOUT;
        chdir $self->{dir};
        exec { $self->{command}[0] } @{ $self->{command} }
            or POSIX::_exit(127);
    }

    POSIX::sigprocmask(POSIX::SIG_SETMASK(), $old);

    $self->{pid} = $pid;
    $running{$pid} = $self;
    print $watchdog "$pid @{[born($pid)]}\n";

    return $self;
}


# when a process began: what tells it from a later one with its number

sub born {
    my ($pid) = @_;

    open my $in, '<', "/proc/$pid/stat" or return 0;
    my $line = <$in> // '';

    return (split ' ', $line =~ s/^.*\) //r)[19] // 0;
}


# One process that sees the test's end by the end of its input.  It must hold
# none of the test's output, else prove would wait for it.

sub watch {
    return if $watchdog;

    pipe my $in, $watchdog or die "pipe: $!";

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        $SIG{$_} = 'IGNORE' for qw(INT TERM HUP PIPE ALRM);
        close $watchdog;
        open $_, '+<', '/dev/null' for \*STDIN, \*STDOUT, \*STDERR;

        my %born;
        while (my $line = <$in>) {
            my ($pid, $born) = split ' ', $line;
            $born{$pid} = $born;
        }

        $born{$_} && born($_) == $born{$_} && kill 'KILL', $_ for keys %born;
        POSIX::_exit(0);
    }

    close $in;
    $watchdog->autoflush(1);
}


# has it ended?  With seconds: wait that long for it

sub gone {
    my ($self, $seconds) = @_;

    my $pid = $self->{pid} // return 1;
    my $until = time + ($seconds // 0);

    while (waitpid($pid, WNOHANG) == 0) {
        return 0 if time >= $until;
        sleep 0.005;
    }

    $self->{status} = $?;
    delete $self->{pid};
    delete $running{$pid};

    return 1;
}


# stop() and kill9(): it is gone when they return

sub stop  { $_[0]->end('TERM') }
sub kill9 { $_[0]->end('KILL') }


sub end {
    my ($self, $signal) = @_;

    my $pid = $self->{pid} // return;

    local $?;
    kill $signal, $pid;
    kill 'CONT', $pid;
    $self->gone(10) and return;

    kill 'KILL', $pid;
    $self->gone(10) or die "$self->{name} does not end";
}


# up and silent

sub freeze { kill 'STOP', $_[0]{pid} }
sub thaw   { kill 'CONT', $_[0]{pid} }


# the end of what it said

sub said {
    my ($self, $lines) = @_;

    open my $in, '<', "$self->{dir}/$self->{name}.log" or return '';
    my @lines = <$in>;
    splice @lines, 0, -($lines // 20) if @lines > ($lines // 20);

    return join '', @lines;
}


# connections that clients have open to a port of 127.0.0.1

sub connections {
    my ($port) = @_;

    my $local = sprintf '0100007F:%04X', $port;
    my $n = 0;

    for my $file ('/proc/net/tcp', '/proc/net/tcp6') {
        open my $in, '<', $file or next;
        while (my $line = <$in>) {
            my (undef, $here, undef, $state) = split ' ', $line;
            $n++ if $state eq '01' && $here =~ /\Q$local\E$/;
        }
    }

    return $n;
}


sub DESTROY {
    my ($self) = @_;

    # a fork of the test has the same objects
    return if $self->{owner} != $$ || !$self->{pid};

    local ($?, $@, $!);
    $self->kill9;
}


END {
    local ($?, $!);
    $_->{owner} == $$ && $_->kill9 for values %running;
}


1;
