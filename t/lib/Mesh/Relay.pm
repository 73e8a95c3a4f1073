package Mesh::Relay;

# A TCP proxy that a test puts before a server, and that loses things.
#
#   my $relay = Mesh::Relay->new(to => $redis->port);
#   $relay->hole('down');           # nothing comes back any more, nor a close
#   $relay->open;                   # what is sent from now on passes again
#
# hole('up' | 'down' | 'both'): of all connections, later ones as well; what
# was sent meanwhile is lost.  delay(s): of each piece, both ways.  cut(n):
# each connection closes after n bytes that came back, 0 for no longer.
# to(port): where later connections go.  And all of Mesh::Fault.

use strict;
use warnings;

use parent 'Mesh::Fault';

use Errno qw(EINPROGRESS);
use Socket qw(pack_sockaddr_in inet_aton PF_INET SOCK_STREAM);
use IO::Socket::INET;


sub hole  { $_[0]->ask('set', { hole => $_[1] // 'both' }) }
sub open  { $_[0]->ask('set', { hole => '', delay => 0, cut => 0 }) }
sub delay { $_[0]->ask('set', { delay => $_[1] }) }
sub cut   { $_[0]->ask('set', { cut => $_[1] }) }
sub to    { $_[0]->ask('set', { to => $_[1] }) }

# bytes that have come so far: up, down
sub bytes { my $s = $_[0]->ask('stats'); return @$s{qw(up down)} }


###############################################################################
# the relay's process


sub init {
    my ($s) = @_;

    $s->{set} = { to => $s->{o}{to}, hole => $s->{o}{hole} // '' };
    @{ $s->{stats} }{qw(up down)} = (0, 0);
}


sub order_set {
    my ($s, $o) = @_;

    %{ $s->{set} } = (%{ $s->{set} }, %$o);

    return 1;
}


# both ends are connections, of which only the clients' count

sub order_stats {
    my ($s) = @_;

    return { %{ $s->{stats} },
             open => scalar grep { !$_->{server} } values %{ $s->{conns} } };
}


sub opened {
    my ($s, $c) = @_;

    my $socket = IO::Socket::INET->new(Proto => 'tcp');
    $socket->blocking(0);

    my $ok = connect $socket, pack_sockaddr_in($s->{set}{to},
                                               inet_aton('127.0.0.1'));
    return $s->shut($c, 1) if !$ok && $! != EINPROGRESS;

    my $up = $s->adopt($socket);

    @$up{qw(server other dialing)} = (1, $c, 1);
    $c->{other} = $up;
}


sub readable {
    my ($s, $c) = @_;

    my $bytes = $c->{in};
    my $way = $c->{server} ? 'down' : 'up';
    my $to = $c->{other};

    $c->{in} = '';
    $s->{stats}{$way} += length $bytes;

    return if $s->{set}{hole} =~ /^(?:both|$way)$/;

    my $cut = $c->{server} && $s->{set}{cut};

    if ($cut) {
        my $left = $cut - ($c->{passed} // 0);
        $bytes = substr $bytes, 0, $left if length $bytes >= $left;
        $c->{passed} += length $bytes;
    }

    my $pass = sub {
        $s->write($to, $bytes);
        $s->shut($to, 'last') if $cut && $c->{passed} >= $cut;
    };

    $s->{set}{delay} ? $s->later($s->{set}{delay}, $pass) : $pass->();
}


sub closed {
    my ($s, $c) = @_;

    my $way = $c->{server} ? 'down' : 'up';
    my $to = delete $c->{other} // return;

    # of a hole not even the end is seen
    return if $s->{set}{hole} =~ /^(?:both|$way)$/;

    my $end = sub { delete $to->{other}; $s->shut($to, 'last') };
    $s->{set}{delay} ? $s->later($s->{set}{delay}, $end) : $end->();
}


# what ends here, by the test's order or a refusal, ends on both sides

sub shut {
    my ($s, $c, $how) = @_;

    $s->SUPER::shut($c, $how);

    my $other = $c->{dead} && delete $c->{other} or return;

    delete $other->{other};
    $s->SUPER::shut($other, $how);
}


1;
