package Mesh::Resp;

# A minimal client of Redis: what it says as Perl values.  A status or bulk is
# text, an array a list, a map a list of pairs in turn, null undef; an error is
# a Mesh::Resp::Error, and a push of RESP3 waits for next_push().

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

our @EXPORT_OK = qw(resp_command resp_parse);


# connect(port, tls => options of IO::Socket::SSL, timeout => s)

sub connect {
    my ($class, $port, %o) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port",
        Proto => 'tcp', Timeout => $o{timeout} // 5)
        or die "no Redis at port $port: $!\n";

    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;

    if ($o{tls}) {
        require IO::Socket::SSL;
        IO::Socket::SSL->start_SSL($socket, SSL_verify_mode => 0,
                                   %{ $o{tls} })
            or die 'TLS with Redis: ' . IO::Socket::SSL::errstr() . "\n";
    }

    return bless { socket => $socket, in => '', pushed => [],
                   timeout => $o{timeout} // 5 }, $class;
}


sub resp_command {
    return join '', '*' . @_ . "\r\n",
                    map { '$' . length($_) . "\r\n$_\r\n" } @_;
}


sub send_command {
    my ($self, @words) = @_;

    local $SIG{PIPE} = 'IGNORE';
    my $bytes = resp_command(@words);

    while (length $bytes) {
        my $n = syswrite $self->{socket}, $bytes;
        die "Redis: $!\n" unless $n;
        substr $bytes, 0, $n, '';
    }
}


sub command {
    my ($self, @words) = @_;

    $self->send_command(@words);
    return $self->answer;
}


# the next answer; dies when there is none in time

sub answer {
    my ($self, $seconds) = @_;

    my $until = time + ($seconds // $self->{timeout});

    for ( ;; ) {
        if (my ($value, $used, $type) = resp_parse($self->{in})) {
            substr $self->{in}, 0, $used, '';

            if ($type eq '>') {
                push @{ $self->{pushed} }, $value;
                next;
            }

            return $value;
        }

        my $left = $until - time;
        $left > 0 && $self->readable($left) or die "Redis does not answer\n";

        sysread($self->{socket}, $self->{in}, 65536, length $self->{in})
            or die "Redis has closed\n";
    }
}


sub readable {
    my ($self, $seconds) = @_;

    my $socket = $self->{socket};

    return ($socket->can('pending') && $socket->pending)
           || IO::Select->new($socket)->can_read($seconds);
}


# what a subscriber hears, or undef when nothing comes in time

sub next_push {
    my ($self, $seconds) = @_;

    return shift @{ $self->{pushed} } if @{ $self->{pushed} };

    my $value = eval { $self->answer($seconds // 1) };
    return shift(@{ $self->{pushed} }) // $value;
}


sub close { CORE::close($_[0]{socket}) }


# resp_parse(bytes): (value, bytes used, type), or nothing when it is not all
# there

sub resp_parse {
    my $at = 0;
    my ($value, $type) = eval { element(\$_[0], \$at) };

    if ($@) {
        return if ref $@;
        die $@;
    }

    return ($value, $at, $type);
}


sub element {
    my ($in, $at) = @_;

    my $end = index $$in, "\r\n", $$at;
    die [] if $end < 0;

    my $type = substr $$in, $$at, 1;
    my $rest = substr $$in, $$at + 1, $end - $$at - 1;
    $$at = $end + 2;

    return ($rest, $type) if $type =~ /[+:,(]/;
    return (bless(\$rest, 'Mesh::Resp::Error'), $type) if $type eq '-';
    return (undef, $type) if $type eq '_' || $rest eq '-1';
    return ($rest eq 't' ? 1 : 0, $type) if $type eq '#';

    if ($type =~ /[\$=!]/) {
        die [] if length $$in < $$at + $rest + 2;
        my $text = substr $$in, $$at, $rest;
        $$at += $rest + 2;
        return ($text, $type);
    }

    die "Redis says $type$rest\n" unless $type =~ /[*~>%|]/;

    my $n = $type =~ /[%|]/ ? 2 * $rest : $rest;
    my @list = map { scalar((element($in, $at))[0]) } 1 .. $n;

    # attributes stand before what they are of
    return element($in, $at) if $type eq '|';
    return (\@list, $type);
}


package Mesh::Resp::Error;

use overload '""' => sub { ${ $_[0] } }, fallback => 1;


1;
