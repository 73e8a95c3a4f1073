#!/usr/bin/perl

# What SDKs say in a registry is what the API shows and calls obey: weights,
# warm-up, labels, states of checks, maintenance.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);

use Mesh::Api;
use Mesh::Calls;
use Mesh::Consul;
use Mesh::Lazy;
use Mesh::Peer;
use Mesh::Test;

my $consul = Mesh::Consul->new;
my $t = Mesh::Test->new(timeout => 240);
my ($a, $b) = map { Mesh::Peer->new(value => $_) } qw(a b);
my $bolt = Mesh::Peer->new(speaks => 'bolt', value => 'bolt');
my $now = int(time * 1000);


sub url {
    my ($interface, $peer, $params) = @_;

    return 'dubbo://127.0.0.1:' . $peer->port . "/$interface?side=provider"
           . "&interface=$interface&anyhost=true&pid=7&$params";
}


# an endpoint as the API shows it, once it is as the test says

sub shown {
    my ($service, $peer, $is) = @_;

    my $path = 'services/' . enc($service) . '/endpoints/'
               . enc('127.0.0.1:' . $peer->port);
    my $r;

    wait_for { $r = api($t, 'GET', $path);
               $r->{status} == 200 && $is->($r->{json}) } 20
        or diag($r->{content});

    return $r->{json} // {};
}


sub calls {
    my ($service, $n) = @_;
    return scalar spread($t->tcp('rpc'), $n, service => $service);
}


$consul->dubbo(url('demo.Shop', $a, 'application=shop&dubbo.tag=gray'
                                    . '&weight=60&timestamp='
                                    . ($now - 1_200_000)));
$consul->dubbo(url('demo.Shop', $b, 'application=shop&weight=60&timestamp='
                                    . ($now - 60_000) . '&region=eu'));
$consul->sofa('demo.Sofa', $bolt->port, '1.0', unique => 'u',
              meta => { startTime => "$now", warmupTime => '600000',
                        warmupWeight => '5', appName => 'bank' });
$consul->register('p-1', 'demo.Plain', $a->port, ttl => 60,
                  tags => ['protocol=dubbo', 'canary', 'v=2'],
                  meta => { zone => 'z1' }, weights => [2, 1]);
$consul->register('p-2', 'demo.Plain', $b->port, ttl => 60,
                  tags => ['protocol=dubbo', 'v=1'], weights => [1, 0]);
$consul->register('w-1', 'demo.Web', 8080);
$consul->register('i-1', 'demo-app', $a->port,
                  tags => ['dubbo.endpoints=[]', 'dubbo.metadata.revision=5']);

$t->write_conf(lazy_conf(registry => 'discovery=all', pass => 'auto')
    =~ s/registry consul \S+/'registry consul ' . $consul->url/er);
$t->run;


# Dubbo: an old process, and one of which a tenth of the warm-up is over

my $r = shown('demo.Shop', $a, sub { 1 });
is_deeply($r->{spec}{labels}, { application => 'shop', 'dubbo.tag' => 'gray' },
          'parameters of a URL are labels');
is("$r->{spec}{weight} $r->{status}{effective_weight}", '60 60',
   '... it has its weight');
ok(!exists $r->{status}{warmup}, '... and is warm');
is($r->{metadata}{owner}, 'consul', '... its owner is the registry');

$r = shown('demo.Shop', $b, sub { 1 });
is($r->{spec}{weight}, 60, 'a process that was just started');
cmp_ok($r->{status}{effective_weight}, '>=', 6, '... has a part of it');
cmp_ok($r->{status}{effective_weight}, '<', 30, '... and no more');
cmp_ok($r->{status}{warmup}, '>=', 0.1, '... by its age');

my $n = calls('demo.Shop', 200);
is($n->{a} + $n->{b}, 200, '... calls');
cmp_ok($n->{b}, '>', 0, '... some are its own');
cmp_ok($n->{b}, '<', $n->{a} / 2, '... most are not');

my $explain = api($t, 'POST', 'explain', { protocol => 'dubbo',
    service => 'demo.Shop', method => 'hello' })->{json};
my ($e) = grep { $_->{id} eq '127.0.0.1:' . $b->port }
          @{ $explain->{targets}[0]{endpoints} };
ok($e->{warmup} && $e->{effective_weight} < 30, '... explain says so');


# SOFARPC

$r = shown('demo.Sofa:1.0:u', $bolt, sub { 1 });
is("$r->{spec}{protocol} $r->{spec}{weight} $r->{status}{effective_weight}",
   'bolt 100 5', 'SOFARPC, with a weight while it warms up');
is($r->{spec}{labels}{appName}, 'bank', '... and labels');


# a plain service: tags, metadata, weights by state

$r = shown('demo.Plain', $a, sub { 1 });
is_deeply($r->{spec}{labels}, { canary => 'true', v => 2, zone => 'z1' },
          'tags and metadata are labels');
is("$r->{spec}{weight} $r->{spec}{protocol} $r->{spec}{zone}", '200 dubbo z1',
   '... weight, protocol, zone');
$n = calls('demo.Plain', 60);
is($n->{a} == 2 * $n->{b} && $n->{a} + $n->{b}, 60, '... calls by weight');

$consul->warn('p-1', 'slow');
$r = shown('demo.Plain', $a, sub { $_[0]{spec}{weight} == 100 });
is($r->{spec}{weight}, 100, 'a warning is another weight');

$consul->warn('p-2', 'slow');
$r = shown('demo.Plain', $b, sub { !$_[0]{status}{serving} });
ok(!$r->{status}{serving} && !$r->{status}{draining}, '... or none');
is_deeply(calls('demo.Plain', 10), { a => 10 }, '... calls go elsewhere');

$consul->pass('p-2');
$consul->maintenance('p-1', 1, 'by hand');
$r = shown('demo.Plain', $a, sub { $_[0]{status}{draining} });
ok($r->{status}{draining} && !$r->{status}{serving}, 'maintenance drains');
ok((wait_for { (calls('demo.Plain', 10)->{b} // 0) == 10 } 20),
   '... calls go elsewhere');
$consul->maintenance('p-1', 0);
$consul->pass('p-1');
$r = shown('demo.Plain', $a, sub { $_[0]{status}{serving}
                                   && $_[0]{spec}{weight} == 200 });
is($r->{status}{effective_weight}, 200, '... until it is over');


# what is no service

is(api($t, 'GET', 'services/demo.Web')->{status}, 404,
   'without a protocol it is none');

my %told;

wait_for {
    %told = map { $_->{service} => $_->{unmapped} }
        @{ api($t, 'GET', 'registries/consul')->{json}{status}{services} };
    $told{'demo.Web'} && $told{'demo-app'}
} 20;

like($told{'demo.Web'}, qr/^no protocol: 1 instance, as "w-1" .remedy: /,
     '... which the API tells');
like($told{'demo-app'}, qr/^application-level: .*provided_by demo-app;/,
     'an application is none either');

$t->done;
