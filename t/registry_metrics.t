#!/usr/bin/perl

# Registries in mesh_metrics, as Prometheus' own promtool judges it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IPC::Open2;
use Test::More;

use Mesh::Consul;
use Mesh::Test qw(wait_for);

my $consul = Mesh::Consul->new;
my $t = Mesh::Test->new;

$t->write_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;
    state_path %%DIR%%/state;
    registry consul @{[$consul->url]} protocol=dubbo discovery=all;
    registry consul http://127.0.0.1:1 name=dead;
}

http {
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /metrics { mesh_metrics; }
    }
}
CONF


sub metric {
    my ($what, $registry, $labels) = @_;

    $registry //= 'consul';
    $labels //= '';

    return $t->metrics->{"mesh_registry_$what\{registry=\"$registry\"$labels}"};
}


sub counted {
    my ($result) = @_;
    return metric('updates_total', undef, ",result=\"$result\"");
}


$consul->register("a-$_", 'com.example.A', 20000 + $_) for 1 .. 2;
$t->run;

ok((wait_for { (metric('endpoints') // 0) >= 2 } 10), 'endpoints');

my $text = $t->http('GET', '/metrics', undef, port => 'http')->{content};
my $pid = open2(my $out, my $in, 'promtool check metrics 2>&1');

print $in $text;
close $in;

my $said = join '', <$out>;
waitpid $pid, 0;

is($?, 0, 'promtool has nothing to say') or diag($said);

is(metric('up'), 1, 'one answers');
is(metric('up', 'dead'), 0, 'one does not');
cmp_ok(abs(time - metric('last_success_timestamp_seconds')), '<', 60,
       'when it did last');
is(metric('last_success_timestamp_seconds', 'dead'), 0, '... or never');
cmp_ok(metric('subscriptions'), '>=', 1, 'subscriptions');
ok((wait_for { metric('connections') >= 1 } 10), 'connections');
is(metric('held'), 0, 'nothing is held');

my $changed = counted('changed');

$consul->register('a-3', 'com.example.A', 20003);
ok((wait_for { counted('changed') > $changed } 10), 'a change is counted');

$consul->deregister("a-$_") for 1 .. 3;
ok((wait_for { metric('held') == 1 } 10), 'all are gone: held');

$consul->kill9;
ok((wait_for { metric('up') == 0 } 10), 'the registry is gone');
cmp_ok(metric('errors_total'), '>=', 1, '... which is counted');
ok((wait_for { counted('unknown') >= 1 } 10), '... as no answer');

$t->done;
