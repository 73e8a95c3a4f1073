package Mesh::Fault;

# What the servers have in common that misbehave as they are told: a forked
# process with one loop, connections, timers and a line to the test.
#
# A kind of server derives from this and has, in its process,
#   init($s)              once
#   opened($s, $c)        a connection, before anything is read
#   readable($s, $c)      $c->{in} has grown
#   closed($s, $c)        by the other side
#   order_NAME($s, args)  what the test asks for; its value is the answer
# and uses write(), shut(), later().
#
# Common to all: new(port => n), port, stop, start (again, on the same port),
# freeze, thaw, close_all, rst_all, refuse(1 or 0): does it listen; stats:
# connections so far, open, most open at once.

use strict;
use warnings;

use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(WNOHANG);
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC SOL_SOCKET SO_LINGER SOMAXCONN
              IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time sleep);

use Mesh::Port qw(free_port);

# no server outlives its test by much, however that ends
use constant LIFETIME => 900;

my %running;
my $json = JSON::PP->new->ascii->canonical->allow_nonref;


###############################################################################
# the test's side


sub new {
    my ($class, %o) = @_;

    my $self = bless { o => \%o, port => $o{port} // free_port(),
                       owner => $$ }, $class;

    return $self->start;
}


sub port    { $_[0]{port} }
sub pid     { $_[0]{pid} }
sub address { '127.0.0.1:' . $_[0]{port} }


sub start {
    my ($self) = @_;

    $self->stop;

    # listening starts here, so a connect just after this succeeds
    my $listen = listener($self->{port});

    socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or die "socketpair: $!";
    $_->autoflush(1) for $ours, $theirs;

    # a signal that comes before the child has its own handlers must not run
    # the test's, which would end all others

    my $all = POSIX::SigSet->new;
    my $old = POSIX::SigSet->new;
    $all->fillset;
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), $all, $old);

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM __DIE__ __WARN__);
        $SIG{PIPE} = 'IGNORE';
        POSIX::sigprocmask(POSIX::SIG_SETMASK(), $old);
        close $ours;
        alarm LIFETIME;

        my $s = bless { o => $self->{o}, port => $self->{port},
                        listen => $listen, control => $theirs, conns => {},
                        timers => [], stats => { connections => 0, most => 0 },
                      }, ref $self;

        eval { $s->init; $s->serve; 1 } or print STDERR ref $self, ": $@";
        POSIX::_exit(0);
    }

    POSIX::sigprocmask(POSIX::SIG_SETMASK(), $old);

    close $theirs;
    close $listen;

    @$self{qw(pid control)} = ($pid, $ours);
    $running{$pid} = 1;

    return $self;
}


sub listener {
    my ($port) = @_;

    my $listen = IO::Socket::INET->new(
        LocalAddr => "127.0.0.1:$port", Listen => SOMAXCONN, ReuseAddr => 1,
        Proto => 'tcp') // die "cannot listen on 127.0.0.1:$port: $!";

    $listen->blocking(0);

    return $listen;
}


# ask(order, arguments): what the process answers

sub ask {
    my ($self, @order) = @_;

    my $control = $self->{control} // die ref($self) . ' is stopped';

    print $control $json->encode(\@order), "\n";
    IO::Select->new($control)->can_read(10)
        or die ref($self) . " does not answer\n";

    my $line = <$control> // die ref($self) . " is gone\n";
    my ($ok, $value) = @{ $json->decode($line) };
    die $value unless $ok;

    return $value;
}


sub stats     { $_[0]->ask('stats') }
sub close_all { $_[0]->ask('close') }
sub rst_all   { $_[0]->ask('rst') }
sub refuse    { $_[0]->ask('refuse', $_[1] // 1) }
sub freeze    { kill 'STOP', $_[0]{pid} }
sub thaw      { kill 'CONT', $_[0]{pid} }


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} // return;

    kill 'KILL', $pid;
    close delete $self->{control};
    waitpid $pid, 0;
    delete $running{$pid};
}


sub DESTROY {
    my ($self) = @_;

    # the process itself has one that is none of the test's
    return if ($self->{owner} // 0) != $$ || !$self->{pid};

    local ($?, $@, $!);
    $self->stop;
}


END {
    local ($?, $!);
    for my $pid (keys %running) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
    }
}


###############################################################################
# the server's process
#
# a connection: fd socket n in out; close (once out is written), paused


sub init { }
sub opened { }
sub closed { }


sub serve {
    my ($s) = @_;

    for ( ;; ) {
        my $read = IO::Select->new($s->{control});
        my $write = IO::Select->new;

        $read->add($s->{listen}) if $s->{listen};

        for my $c (values %{ $s->{conns} }) {
            $read->add($c->{socket}) unless $c->{paused};
            $write->add($c->{socket}) if length $c->{out} || $c->{dialing};
        }

        my ($in, $out) = IO::Select->select($read, $write, undef,
                                            $s->wait_time);

        for my $socket (@{ $out // [] }) {
            my $c = $s->{conns}{fileno($socket) // -1} or next;
            delete $c->{dialing};
            $s->flush($c);
        }

        for my $socket (@{ $in // [] }) {
            if ($socket == $s->{control}) {
                my $line = readline $s->{control};
                return unless defined $line;
                $s->obey($line);

            } elsif ($s->{listen} && $socket == $s->{listen}) {
                $s->accepted;

            } else {
                my $c = $s->{conns}{fileno($socket) // -1};
                $s->fill($c) if $c;
            }
        }

        $s->run_timers;
    }
}


sub obey {
    my ($s, $line) = @_;

    my ($name, @args) = @{ $json->decode($line) };
    my $value = eval { $s->can("order_$name")->($s, @args) };
    my $answer = $@ ? [0, "$name: $@"] : [1, $value];

    print { $s->{control} } $json->encode($answer), "\n";
}


sub order_stats {
    my ($s) = @_;
    return { %{ $s->{stats} }, open => scalar keys %{ $s->{conns} } };
}


sub order_close { $_[0]->shut_all }
sub order_rst   { $_[0]->shut_all(1) }


# the end of one may be that of another

sub shut_all {
    my ($s, @how) = @_;

    my @all = values %{ $s->{conns} };
    $_->{dead} || $s->shut($_, @how) for @all;

    return 1;
}


sub order_refuse {
    my ($s, $on) = @_;

    if ($on) {
        close delete $s->{listen} if $s->{listen};
    } else {
        $s->{listen} //= listener($s->{port});
    }

    return 1;
}


sub wait_time {
    my ($s) = @_;

    my $wait = 60;

    for (@{ $s->{timers} }) {
        my $left = $_->[0] - time;
        $wait = $left if $left < $wait;
    }

    return $wait < 0 ? 0 : $wait;
}


# later(seconds, sub): a timer that can be made undone by $timer->[1] = undef

sub later {
    my ($s, $seconds, $sub) = @_;

    my $timer = [time + $seconds, $sub];
    push @{ $s->{timers} }, $timer;

    return $timer;
}


sub run_timers {
    my ($s) = @_;

    my $now = time;
    my @due = sort { $a->[0] <=> $b->[0] }
              grep { $_->[0] <= $now } @{ $s->{timers} };

    return unless @due;

    @{ $s->{timers} } = grep { $_->[0] > $now } @{ $s->{timers} };
    $_->[1] && $_->[1]->() for @due;
}


sub accepted {
    my ($s) = @_;

    while (my $socket = $s->{listen}->accept) {
        my $c = $s->adopt($socket);

        $c->{n} = ++$s->{stats}{connections};
        my $open = keys %{ $s->{conns} };
        $s->{stats}{most} = $open if $open > $s->{stats}{most};

        $s->opened($c);
        last unless $s->{listen};
    }
}


sub adopt {
    my ($s, $socket) = @_;

    $socket->blocking(0);
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;

    my $c = { fd => fileno $socket, socket => $socket, in => '', out => '' };

    return $s->{conns}{$c->{fd}} = $c;
}


sub fill {
    my ($s, $c) = @_;

    my $n = sysread $c->{socket}, $c->{in}, 65536, length $c->{in};

    return if !defined $n && $!{EAGAIN};

    if (!$n) {
        $s->closed($c);
        return $s->shut($c);
    }

    $s->readable($c);
}


sub write {
    my ($s, $c, $bytes) = @_;

    return if $c->{dead};

    # characters, as JSON has them, would be copied at each write
    utf8::downgrade($bytes);
    $c->{out} .= $bytes;
    $s->flush($c) unless $c->{dialing};
}


sub flush {
    my ($s, $c) = @_;

    while (length $c->{out} && !$c->{dead}) {
        my $n = syswrite $c->{socket}, $c->{out};

        if (!defined $n) {
            $s->shut($c) unless $!{EAGAIN};
            return;
        }

        substr $c->{out}, 0, $n, '';
    }

    $s->shut($c) if $c->{close} && !$c->{dead} && !length $c->{out};
}


# shut(connection, 1 for a reset); "last": once what is to be written is

sub shut {
    my ($s, $c, $how) = @_;

    if (($how // '') eq 'last' && length $c->{out}) {
        $c->{close} = 1;
        return;
    }

    return if $c->{dead}++;

    setsockopt $c->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0
        if ($how // '') eq '1';

    delete $s->{conns}{$c->{fd}};
    close $c->{socket};
}


1;
