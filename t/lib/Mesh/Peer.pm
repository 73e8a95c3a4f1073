package Mesh::Peer;

# A fake provider: one forked process that answers every frame the way
# its options say, and tells the test what it saw.
#
#   my $p = Mesh::Peer->new(name => 'p1', methods => { slow => { delay => 1 } });
#   ... $p->port ... $p->stats->{requests} ... $p->stop;
#
# Where:   port => n (default: a free one), path => unix socket
# What:    speaks => "dubbo" (default) or "bolt", whose frames the handlers get
# Answers: value => text (default: the first argument, or the peer's name),
#          exception => text, status => n with error => text, size => bytes
#          of the value, attachments => {}
# Faults:  delay => s, never => 1, twice => 1, reorder => n (every n requests
#          are answered last first), garbage => bytes or 1, split => 1 (one
#          byte a write), close_after, rst_after, readonly_after => nth request
#          of a connection (before it is answered, but readonly_after: after
#          its answer),
#          mute => 1 (no answer to heartbeats), stall => 1 (reads nothing),
#          beat => s (sends heartbeats)
# Control: methods => { NAME => { any of the above } },
#          handler => sub { my ($peer, $conn, $frame) = @_; ... true: done },
#          keep => n (how many requests log() remembers, 1000)
#
# Close and reset happen "limit" times at most when that is given.

use strict;
use warnings;

use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP;
use POSIX qw(WNOHANG);
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC SOL_SOCKET SO_LINGER SOMAXCONN
              IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time sleep);

use Mesh::Bolt;
use Mesh::Dubbo;
use Mesh::Port qw(free_port);

# no peer outlives its test by much, however that ends
use constant LIFETIME => 900;

my %running;
my $json = JSON::PP->new->ascii->canonical->allow_nonref;


###############################################################################
# the test's side


sub new {
    my ($class, %o) = @_;

    $o{port} //= free_port() unless $o{path};
    $o{name} //= $o{path} // "peer$o{port}";

    my $self = bless { options => \%o }, $class;

    return $self->start;
}


sub port { $_[0]{options}{port} }
sub path { $_[0]{options}{path} }
sub name { $_[0]{options}{name} }
sub pid  { $_[0]{pid} }

sub address {
    my ($self) = @_;
    return $self->path ? 'unix:' . $self->path : '127.0.0.1:' . $self->port;
}


# start(options) again, on the same port; with what was set before, unless
# given anew

sub start {
    my ($self, %o) = @_;

    $self->stop;

    my $options = $self->{options} = { %{ $self->{options} }, %o };

    # listening starts here, so a connect just after this succeeds
    my $listen = listener($options);

    socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or die "socketpair: $!";
    $_->autoflush(1) for $ours, $theirs;

    # a signal that comes before the child has its own handlers must not run
    # the test's, which would end all other peers

    my $all = POSIX::SigSet->new;
    my $old = POSIX::SigSet->new;
    $all->fillset;
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), $all, $old);

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        # none of the test's END blocks, handlers and plans
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM __DIE__ __WARN__);
        $SIG{PIPE} = 'IGNORE';
        POSIX::sigprocmask(POSIX::SIG_SETMASK(), $old);
        close $ours;
        alarm LIFETIME;

        eval { serve($options, $listen, $theirs); 1 }
            or print STDERR "peer $options->{name}: $@";
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
    my ($o) = @_;

    if ($o->{path}) {
        unlink $o->{path};
        return IO::Socket::UNIX->new(Local => $o->{path}, Listen => SOMAXCONN)
            // die "cannot listen on $o->{path}: $!";
    }

    return IO::Socket::INET->new(LocalAddr => "127.0.0.1:$o->{port}",
                                 Listen => SOMAXCONN, ReuseAddr => 1,
                                 Proto => 'tcp')
        // die "cannot listen on 127.0.0.1:$o->{port}: $!";
}


sub ask {
    my ($self, @command) = @_;

    my $control = $self->{control} // die "$self->{options}{name} is stopped";

    print $control $json->encode(\@command), "\n";

    IO::Select->new($control)->can_read(10)
        or die "peer $self->{options}{name} does not answer";

    my $line = <$control> // die "peer $self->{options}{name} is gone";

    return $json->decode($line);
}


# connections (accepted so far), open, closed (by the other side), requests,
# oneways, heartbeats, acks, readonly, garbage, answers, bytes, methods {},
# services {}, versions {}

sub stats { $_[0]->ask('stats') }


# the last requests, oldest first: time conn id kind service version method
# args attachments; long arguments are cut

sub log { @{ $_[0]->ask('log') } }


# new options for what comes from now on; a handler cannot be sent

sub set {
    my ($self, %o) = @_;

    $self->{options} = { %{ $self->{options} }, %o };

    return $self->ask('set', \%o);
}


# bytes to every open connection; readonly() is what a leaving provider sends

sub push_bytes { $_[0]->ask('push', unpack 'H*', $_[1]) }
sub readonly   { $_[0]->push_bytes(speak($_[0]{options}, 'readonly')) }


# a function of the protocol's module

sub speak {
    my ($o, $what, @options) = @_;

    my $module = 'Mesh::' . ucfirst($o->{speaks} // 'dubbo');

    return $module->can($what)->(@options);
}


# every connection; the listening socket stays

sub close_all { $_[0]->ask('close') }
sub rst_all   { $_[0]->ask('rst') }


# a peer that is up and silent

sub freeze { kill 'STOP', $_[0]{pid} }
sub thaw   { kill 'CONT', $_[0]{pid} }

sub stop  { $_[0]->end('TERM') }
sub kill9 { $_[0]->end('KILL') }


sub end {
    my ($self, $signal) = @_;

    my $pid = delete $self->{pid} // return 1;

    kill $signal, $pid;
    kill 'CONT', $pid;
    close delete $self->{control};
    unlink $self->path if $self->path;

    return reap($pid, 5);
}


sub reap {
    my ($pid, $seconds) = @_;

    my $until = time + $seconds;

    while (waitpid($pid, WNOHANG) == 0) {
        kill 'KILL', $pid if time > $until;
        sleep 0.005;
    }

    delete $running{$pid};

    return time < $until;
}


sub restart {
    my ($self, %o) = @_;
    return $self->start(%o);
}


# what END calls: a test may die anywhere

sub stop_all {
    for my $pid (keys %running) {
        kill 'KILL', $pid;
        reap($pid, 5);
    }
}


sub DESTROY {
    my ($self) = @_;

    local ($?, $@, $!);
    $self->end('TERM') if $self->{pid} && $running{$self->{pid}};
}


###############################################################################
# the peer's process
#
# $p: options o, conns {fd => conn}, timers [[when, sub]], stats, log
# conn: fd socket n in out requests held [] beat


sub serve {
    my ($options, $listen, $control) = @_;

    my $p = bless { o => { %$options }, conns => {}, timers => [], log => [],
                    stats => { map { $_ => 0 } qw(connections closed requests
                        oneways heartbeats acks readonly garbage answers
                        bytes) } }, 'Mesh::Peer::Server';

    $listen->blocking(0);

    for ( ;; ) {
        my $read = IO::Select->new($listen, $control);
        my $write = IO::Select->new;

        for my $c (values %{ $p->{conns} }) {
            $read->add($c->{socket}) unless $p->{o}{stall};
            $write->add($c->{socket}) if length $c->{out};
        }

        my ($in, $out) = IO::Select->select($read, $write, undef,
                                            $p->wait_time);

        for my $socket (@{ $in // [] }) {
            if ($socket == $listen) {
                $p->accepted($listen);

            } elsif ($socket == $control) {
                my $line = <$control> // return;
                print $control $json->encode($p->command($line)), "\n";

            } else {
                my $c = $p->{conns}{fileno($socket) // -1};
                $p->readable($c) if $c;
            }
        }

        for my $socket (@{ $out // [] }) {
            my $c = $p->{conns}{fileno($socket) // -1};
            $p->flush($c) if $c;
        }

        $p->run_timers;
    }
}


package Mesh::Peer::Server;

use Time::HiRes qw(time);


sub speak {
    my ($p, @what) = @_;
    return Mesh::Peer::speak($p->{o}, @what);
}


sub wait_time {
    my ($p) = @_;

    my $wait = 60;

    for (@{ $p->{timers} }) {
        my $left = $_->[0] - time;
        $wait = $left if $left < $wait;
    }

    return $wait < 0 ? 0 : $wait;
}


# later(seconds, sub): for handlers too

sub later {
    my ($p, $seconds, $sub) = @_;
    push @{ $p->{timers} }, [ time + $seconds, $sub ];
}


sub run_timers {
    my ($p) = @_;

    my $now = time;
    my @due = sort { $a->[0] <=> $b->[0] }
              grep { $_->[0] <= $now } @{ $p->{timers} };

    return unless @due;

    @{ $p->{timers} } = grep { $_->[0] > $now } @{ $p->{timers} };
    $_->[1]->() for @due;
}


sub accepted {
    my ($p, $listen) = @_;

    while (my $socket = $listen->accept) {
        $socket->blocking(0);
        setsockopt $socket, Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1
            unless $p->{o}{path};

        my $c = { fd => fileno $socket, socket => $socket, in => '',
                  out => '', requests => 0, held => [],
                  n => ++$p->{stats}{connections} };

        $p->{conns}{$c->{fd}} = $c;
        $p->beat($c);
    }
}


sub beat {
    my ($p, $c) = @_;

    my $every = $p->{o}{beat} or return;

    $p->later($every, sub {
        return if $c->{dead};
        $p->write($c, $p->speak('heartbeat'));
        $p->beat($c);
    });
}


sub readable {
    my ($p, $c) = @_;

    my $n = sysread $c->{socket}, $c->{in}, 65536, length $c->{in};

    return if !defined $n && $!{EAGAIN};

    if (!$n) {
        $p->{stats}{closed}++;
        return $p->drop($c);
    }

    $p->{stats}{bytes} += $n;

    my ($frames, $rest) = $p->speak(parse => $c->{in});
    $c->{in} = $rest;

    for my $f (@$frames) {
        last if $c->{dead};

        # of Bolt with a CRC that is wrong nothing can be believed
        $f->{kind} = 'garbage' if defined $f->{crc_ok} && !$f->{crc_ok};

        next if $p->{o}{handler} && $p->{o}{handler}->($p, $c, $f);
        $p->frame($c, $f);
    }
}


sub frame {
    my ($p, $c, $f) = @_;

    my $kind = $f->{kind};
    my $s = $p->{stats};

    if ($kind eq 'request' || $kind eq 'oneway') {
        $p->request($c, $f);

    } elsif ($kind eq 'heartbeat') {
        $s->{heartbeats}++;
        $p->write($c, $p->speak(acknowledge => $f)) unless $p->{o}{mute};

    } elsif ($kind eq 'ack') {
        $s->{acks}++;

    } elsif ($kind eq 'readonly') {
        $s->{readonly}++;

    } else {
        $s->{garbage}++;
    }
}


# counted also when a handler does the answering

sub count {
    my ($p, $c, $f) = @_;

    my $s = $p->{stats};

    $s->{$f->{kind} . 's'}++;
    $s->{methods}{$f->{method} // ''}++;
    $s->{services}{$f->{service} // ''}++;
    $s->{versions}{$f->{version} // ''}++;
    $c->{requests}++;

    push @{ $p->{log} }, {
        time => time, conn => $c->{n},
        (map { $_ => $f->{$_} } qw(id kind ser service version method
                                   descriptor attachments damaged)),
        args => [ map { defined && !ref ? substr($_, 0, 200) : $_ }
                  @{ $f->{args} // [] } ],
    };
    shift @{ $p->{log} } if @{ $p->{log} } > ($p->{o}{keep} // 1000);
}


sub request {
    my ($p, $c, $f) = @_;

    $p->count($c, $f);

    my $o = { %{ $p->{o} }, %{ $p->{o}{methods}{$f->{method} // ''} // {} } };
    my $n = $c->{requests};

    for my $how (qw(close rst)) {
        if ($n == ($o->{"${how}_after"} // 0)
            && (!$o->{limit} || $p->{cut}++ < $o->{limit}))
        {
            return $p->drop($c, $how eq 'rst');
        }
    }

    if ($f->{kind} eq 'request' && !$o->{never}) {
        push @{ $c->{held} }, [ $f, $o ];

        if (@{ $c->{held} } >= ($o->{reorder} // 1)) {
            $p->answer($c, @$_) for reverse splice @{ $c->{held} };
        }
    }

    if ($n == ($o->{readonly_after} // 0)) {
        $p->later($o->{delay} // 0, sub {
            $p->write($c, $p->speak('readonly', serialization => $f->{ser}));
        });
    }
}


sub answer {
    my ($p, $c, $f, $o) = @_;

    my $bytes = $p->bytes_of($f, $o);
    my $times = $o->{twice} ? 2 : 1;

    my $go = sub {
        return if $c->{dead};
        $p->{stats}{answers}++;
        $p->write($c, $bytes x $times, $o->{split});
    };

    $o->{delay} ? $p->later($o->{delay}, $go) : $go->();
}


sub bytes_of {
    my ($p, $f, $o) = @_;

    if (defined $o->{garbage}) {
        return $o->{garbage} eq '1' ? "this is no frame\r\n" x 4
                                    : $o->{garbage};
    }

    my $value = $o->{size} ? 'x' x $o->{size}
                           : $o->{value} // $f->{args}[0] // $o->{name};

    return $p->speak(reply => $f, value => $value,
                     map { defined $o->{$_} ? ($_ => $o->{$_}) : () }
                     qw(status error exception attachments));
}


# write(conn, bytes, split): for handlers too

sub write {
    my ($p, $c, $bytes, $split) = @_;

    return if $c->{dead};

    $c->{split} = $split // $p->{o}{split};
    $c->{out} .= $bytes;
    $p->flush($c);
}


sub flush {
    my ($p, $c) = @_;

    while (length $c->{out} && !$c->{dead}) {
        my $n = syswrite $c->{socket}, $c->{out},
                         $c->{split} ? 1 : length $c->{out};

        if (!defined $n) {
            $p->drop($c) unless $!{EAGAIN};
            return;
        }

        substr $c->{out}, 0, $n, '';
    }
}


sub drop {
    my ($p, $c, $reset) = @_;

    return if $c->{dead}++;

    setsockopt $c->{socket}, Socket::SOL_SOCKET, Socket::SO_LINGER,
               pack 'ii', 1, 0 if $reset;

    delete $p->{conns}{$c->{fd}};
    close $c->{socket};
}


sub command {
    my ($p, $line) = @_;

    my ($name, $arg) = @{ $json->decode($line) };

    if ($name eq 'stats') {
        return { %{ $p->{stats} }, open => scalar keys %{ $p->{conns} } };
    }

    return $p->{log} if $name eq 'log';

    if ($name eq 'set') {
        $p->{o} = { %{ $p->{o} }, %$arg };

    } elsif ($name eq 'push') {
        $p->write($_, pack 'H*', $arg) for values %{ $p->{conns} };

    } elsif ($name eq 'close' || $name eq 'rst') {
        $p->drop($_, $name eq 'rst') for values %{ $p->{conns} };
    }

    return 1;
}


1;
