package Mesh::Client;

# A test's connection to a mesh port: sends what it is told, collects frames.
# Nothing waits longer than its timeout (seconds, 5 unless given).

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX qw(ECONNRESET);
use Socket qw(SOL_SOCKET SO_LINGER SHUT_WR IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time sleep);

use Mesh::Bolt;
use Mesh::Dubbo;

my $timeout = 5;


# connect(port | "host:port" | "/path", tls => 1, timeout => n, from => addr,
#         speaks => "dubbo" or "bolt")

sub connect {
    my ($class, $to, %o) = @_;

    my $socket;

    if ($to =~ m{^/}) {
        $socket = IO::Socket::UNIX->new(Peer => $to);

    } else {
        $to = "127.0.0.1:$to" if $to !~ /:/;
        $socket = IO::Socket::INET->new(
            PeerAddr => $to, Proto => 'tcp', Timeout => $o{timeout} // $timeout,
            $o{from} ? (LocalAddr => $o{from}) : ());
    }

    die "cannot connect to $to: $!\n" unless $socket;

    # small pieces must leave when they are written
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1 if $to !~ m{^/};

    if ($o{tls}) {
        require IO::Socket::SSL;

        IO::Socket::SSL->start_SSL($socket, SSL_verify_mode => 0,
            Timeout => $o{timeout} // $timeout, %{ $o{ssl} // {} })
            or die "cannot start TLS with $to: "
                   . IO::Socket::SSL::errstr() . "\n";
    }

    return bless { socket => $socket, tls => $o{tls}, in => '', frames => [],
                   eof => '', speaks => speaker($o{speaks}) }, $class;
}


sub speaker {
    my ($name) = @_;
    return 'Mesh::' . ucfirst($name // 'dubbo');
}


sub socket { $_[0]{socket} }


# bytes of a request in this client's protocol, or what else its module has

sub bytes {
    my ($self, $what, @options) = @_;
    return $self->{speaks}->can($what)->(@options);
}


# send(bytes, piece => n, pause => s): all at once, or n bytes at a time

sub send {
    my ($self, $bytes, %o) = @_;

    my $piece = $o{piece} // length $bytes;
    my $until = time + ($o{timeout} // 30);

    local $SIG{PIPE} = 'IGNORE';

    while (length $bytes) {
        my $n = $piece < length $bytes ? $piece : length $bytes;
        my $out = substr $bytes, 0, $n, '';

        while (length $out) {
            IO::Select->new($self->{socket})->can_write(1)
                or (time < $until ? next : return 0);

            my $sent = syswrite $self->{socket}, $out;
            return 0 unless $sent;
            substr $out, 0, $sent, '';
        }

        sleep $o{pause} if $o{pause} && length $bytes;
    }

    return 1;
}


# what has arrived until something satisfies the condition, the peer closes
# or the time is over

sub pump {
    my ($self, $seconds, $enough) = @_;

    my $until = time + ($seconds // $timeout);
    my $select = IO::Select->new($self->{socket});

    until ($enough->()) {
        return 0 if $self->{eof};

        my $left = $until - time;
        return 0 if $left <= 0;

        # TLS may hold bytes that select() does not see
        next unless ($self->{tls} && $self->{socket}->pending)
                    || $select->can_read($left);

        my $n = sysread $self->{socket}, $self->{in}, 65536,
                        length $self->{in};

        if (!defined $n && $!{EAGAIN}) {
            next;

        } elsif (!$n) {
            $self->{eof} = !defined $n && $! == ECONNRESET ? 'reset' : 'eof';

        } elsif (!$self->{raw}) {
            my ($frames, $rest) = $self->bytes(parse => $self->{in});
            push @{ $self->{frames} }, @$frames;
            $self->{in} = $rest;
        }
    }

    return 1;
}


# the next frame, or undef

sub recv_frame {
    my ($self, $seconds) = @_;

    $self->pump($seconds, sub { @{ $self->{frames} } });

    return shift @{ $self->{frames} };
}


# the next n frames, or those that came in time

sub recv_frames {
    my ($self, $n, $seconds) = @_;

    $self->pump($seconds, sub { @{ $self->{frames} } >= $n });

    return splice @{ $self->{frames} }, 0, $n;
}


# exactly n bytes, or what came in time; for streams that are no frames

sub recv_bytes {
    my ($self, $n, $seconds) = @_;

    local $self->{raw} = 1;
    $self->pump($seconds, sub { length $self->{in} >= $n });

    return substr $self->{in}, 0, $n, '';
}


# call(request's options, timeout => s): the answer to this id, other frames
# stay queued; undef when none comes

sub call {
    my ($self, %o) = @_;

    my $bytes = $self->bytes(request => %o);
    my $id = $self->bytes(id_of => $bytes);

    $self->send($bytes);

    return $self->recv_id($id, $o{timeout});
}


sub recv_id {
    my ($self, $id, $seconds) = @_;

    my $frames = $self->{frames};
    my $found;

    $self->pump($seconds, sub {
        ($found) = grep { $frames->[$_]{kind} =~ /^(?:response|ack)$/
                          && $frames->[$_]{id} == $id } 0 .. $#$frames;
        defined $found;
    });

    return defined $found ? splice @$frames, $found, 1 : undef;
}


# "eof" or "reset" once the peer has closed; '' when it has not in time

sub closed {
    my ($self, $seconds) = @_;

    $self->pump($seconds, sub { 0 });

    return $self->{eof};
}


# no more from us, but still reading

sub shut {
    my ($self) = @_;

    shutdown $self->{socket}, SHUT_WR;
}


sub rst {
    my ($self) = @_;

    setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    $self->close;
}


sub close {
    my ($self) = @_;

    CORE::close($self->{socket});
    $self->{eof} ||= 'eof';
}


1;
