#!/usr/bin/perl

# During a binary upgrade only the instance with the lease takes writes; what
# was written before it, there, and after the way back is never lost.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Mesh::Agent;
use Mesh::Peer;

# a new master is an exec of the old one's, whose pools are never freed
$ENV{ASAN_OPTIONS} = 'detect_leaks=0:abort_on_error=0:exitcode=99';

my $t = Mesh::Agent->new(timeout => 180);
my $peer = Mesh::Peer->new;

my $conf = agent_conf($peer);
$conf =~ s{location /metrics}{location /api/ {
            add_header X-Worker \$pid always;
            mesh_api write=on;
        }
        location /metrics};

$t->write_conf($conf);
$t->run;

my $n = 0;
my @written;


sub put {
    my $name = 'r' . ++$n;
    my $r = $t->http('PUT', "/api/1/routes/$name", { deny => 'x' });

    push @written, $name if $r->{success};
    return $r;
}


sub lost {
    return join ' ', grep {
        $t->http('GET', "/api/1/routes/$_")->{status} != 200
    } @written;
}


# writes until both masters have answered some: how, by master

sub answers {
    my ($old, $new) = @_;
    my %master = ((map { $_ => 'old' } $t->of_master($old)),
                  (map { $_ => 'new' } $t->of_master($new)));
    my %seen;

    for (1 .. 400) {
        my $r = put();
        my $who = $master{ $r->{headers}{'x-worker'} // 0 } // 'nobody';

        my $how = $r->{success} ? 'done' : $r->{status};
        $how .= ' later' if defined $r->{headers}{'retry-after'};
        $seen{$who}{$how}++;

        last if keys %seen == 2 && $_ > 20;
    }

    return join '; ', map {
        "$_: " . join ',', sort keys %{ $seen{$_} }
    } sort keys %seen;
}


put() for 1 .. 3;
is(scalar @written, 3, 'writes');

my $old = $t->usr2;
my $new = $t->pid;
ok($old, 'a new master');
ok(wait_for(sub { $t->agents($new) }, 10), '... with its agent');

is(answers($old, $new), 'new: 423 later; old: done',
   'the one with the lease takes writes, the other one asks to wait');

# what changes nothing has not to wait

my %dry;
my %master = map { $_ => 1 } $t->of_master($new);

for (1 .. 400) {
    my $r = $t->http('PUT', '/api/1/routes/dry?dry_run=1', { deny => 'x' });
    $dry{ $r->{status} }++ if $master{ $r->{headers}{'x-worker'} };
    last if keys %dry && $_ > 20;
}

is_deeply([ keys %dry ], [ 200 ], 'a dry run need not');

my $fence = ($t->lease)[0];
ok($t->winch($old), 'the old workers go');
ok($t->taken($fence), '... and the lease');
ok(wait_for(sub { put()->{success} }, 10), 'the new one takes writes now');
is(lost(), '', '... and has what was written before');

$fence = ($t->lease)[0];
ok($t->rollback($old), 'the new one is given up');
ok($t->taken($fence), '... and the lease goes back');
ok(wait_for(sub { put()->{success} }, 10), 'the old one takes writes again');
is(lost(), '', '... and has what was written meanwhile');

$t->done;
