package Mesh::Port;

# Loopback ports that no test running at the same time gets too.
#
# They lie below the range of outgoing connections and each is held by a lock
# on a file until the process ends: a port stays ours while nobody listens on
# it, between the stop of a peer and its restart.

use strict;
use warnings;

use Exporter qw(import);
use Fcntl qw(:flock O_RDWR O_CREAT);
use File::Spec;
use IO::Socket::INET;

our @EXPORT_OK = qw(free_port);

use constant { FIRST => 20000, LAST => 31999 };

my @held;
my $next;


sub free_port {
    my $dir = File::Spec->tmpdir . "/nginx-mesh-ports.$<";
    mkdir $dir, 0700;

    $next //= FIRST + $$ * 37 % (LAST - FIRST);

    for (1 .. LAST - FIRST) {
        my $port = $next++;
        $next = FIRST if $next > LAST;

        sysopen my $lock, "$dir/$port", O_RDWR | O_CREAT or next;
        flock $lock, LOCK_EX | LOCK_NB or next;

        IO::Socket::INET->new(LocalAddr => "127.0.0.1:$port", Listen => 1,
                              Proto => 'tcp', ReuseAddr => 1) or next;

        push @held, $lock;
        return $port;
    }

    die "no free port in $dir";
}


1;
