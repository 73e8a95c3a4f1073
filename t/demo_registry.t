#!/usr/bin/perl

# util/demo with a registry: a provider is added, one told to stop, one killed,
# and no call fails; nothing of it is left.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use IO::Socket::INET;
use Test::More;

use lib "$FindBin::Bin/lib";
use Mesh::Port qw(free_port);
use Mesh::Test;

my $demo = "$FindBin::Bin/../util/demo";
my $tmp = tempdir(CLEANUP => 1);

# the agent is of another user
chmod 0755, $tmp;

my $port = row(7);
my $http = free_port();

alarm 300;

for my $kind (qw(redis consul)) {
    my $said = `DEMO_PORT=$port DEMO_HTTP=$http TMPDIR=$tmp \\
                $demo --$kind --once < /dev/null 2>&1`;

    my ($end) = $said =~ /((?:.*\n){0,30})\z/;
    is($? >> 8, 0, "util/demo --$kind --once")
        or diag($end, grep { /\b[1-9]\d* failed/ } split /^/, $said);

    my @acts = split /^demo: (?=provider|calls)/m, $said;
    my @last = map { (/^  (v\d.*failed)/mg)[-1] // '' } @acts[1 .. $#acts];

    is(scalar @last, 5, 'five acts');
    is_deeply([map { join ' ', /(v\d)/g } @last],
              ['v1', 'v1 v2', 'v2', 'v2 v3', 'v3'],
              'who answers at the end of each');
    like($end, qr/^\d+ calls were answered, 0 failed\.$/m, 'no call failed');
    like($end, qr/"name":"$kind".*"state":"ok"/, 'what the API says of it');
    is(left(), '', 'nothing is left');
}

done_testing();


# so many free ports in a row: the first

sub row {
    my ($n) = @_;
    my @last;

    for (1 .. 2000) {
        my $port = free_port();
        @last = () if @last && $port != $last[-1] + 1;
        push @last, $port;
        return $last[0] if @last == $n;
    }

    die "no $n free ports in a row\n";
}


sub left {
    my @left = glob "$tmp/nginx-mesh-demo.*";

    push @left, map { "port $_" } grep {
        IO::Socket::INET->new(PeerAddr => "127.0.0.1:$_", Timeout => 1)
    } $port .. $port + 6, $http;

    return join ', ', @left;
}
