package Follow;

# Clients that reach each worker of an nginx.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(each_worker);


# each_worker(nginx, n): connections, one to each of its n workers

sub each_worker {
    my ($t, $n) = @_;

    my %client;

    for (1 .. 400) {
        last if keys %client == $n;

        my $client = $t->tcp('rpc');
        $client->call(service => 'demo.Echo', id => 1);
        $client{owner($t, $client->socket)} //= $client;
    }

    die "no client of each worker\n" unless keys %client == $n;

    return values %client;
}


# which worker has the other end of a connection

sub owner {
    my ($t, $socket) = @_;

    my $port = sprintf '%04X', $socket->sockport;
    open my $tcp, '<', '/proc/net/tcp' or die "/proc/net/tcp: $!";
    my ($inode) = map { (split)[9] } grep { (split)[2] =~ /:$port$/ } <$tcp>;

    for my $pid ($t->workers) {
        for my $fd (glob "/proc/$pid/fd/*") {
            return $pid if (readlink($fd) // '') eq "socket:[$inode]";
        }
    }

    return 0;
}


1;
