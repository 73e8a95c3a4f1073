#!/usr/bin/perl

# Configurators in Redis: what operators of Dubbo lay on providers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);

use Mesh::Api;
use Mesh::Redis;
use Mesh::RedisRegistry;

my $A = 'com.example.A:1.0.0';
my $now = int(time * 1000);

my $redis = Mesh::Redis->new;
my $t = Mesh::RedisRegistry->new;


# what each endpoint has, "PORT=WEIGHT/EFFECTIVE"

sub weights {
    my $r = api($t, 'GET', 'services/' . enc($A) . '/endpoints');

    return join ' ', sort map {
        "$_->{spec}{port}=$_->{spec}{weight}/$_->{status}{effective_weight}"
    } @{ $r->{json}{items} // [] };
}


sub becomes {
    my ($expected, $what) = @_;

    my $weights;
    wait_for { ($weights = weights()) eq $expected } 10;
    is($weights, $expected, $what);
}


sub rule {
    my ($where, $parameters) = @_;

    return "override://$where/com.example.A?category=configurators"
           . "&dynamic=false&version=1.0.0&$parameters";
}


sub lay { $redis->provide($_[0], category => 'configurators', ttl => 3600) }
sub lift { $redis->withdraw($_[0], category => 'configurators') }


sub told {
    my $r = api($t, 'GET', 'registries/redis');

    my ($s) = grep { $_->{service} eq 'com.example.A' }
              @{ $r->{json}{status}{services} // [] };

    return $s->{unsupported} // '';
}


$redis->provide(provider(20880, 'version=1.0.0&application=shop'));
$redis->provide(provider(20881, 'version=1.0.0&application=shop&weight=40'));
lay(rule('127.0.0.1:20880', 'weight=7'));
$t->follow($redis->url . ' refresh=60s', guard => '50% min=1 hold=60s');
becomes('20880=7/7 20881=40/40', 'a rule that is there already');

my $all = rule('0.0.0.0', 'weight=9');
lay($all);
becomes('20880=7/7 20881=9/9', 'one for all is weaker');

lift(rule('127.0.0.1:20880', 'weight=7'));
becomes('20880=9/9 20881=9/9', 'one is lifted');
lift($all);
becomes('20880=100/100 20881=40/40', 'all are lifted');

lay(rule('0.0.0.0', 'disabled=true'));
becomes('20880=100/0 20881=40/0', 'all are disabled, which no guard holds');
lay(rule('127.0.0.1:20881', 'disabled=false'));
becomes('20880=100/0 20881=40/40', '... but one');
lift(rule('127.0.0.1:20881', 'disabled=false'));
lift(rule('0.0.0.0', 'disabled=true'));
becomes('20880=100/100 20881=40/40', '... none any more');

is(told(), '', 'nothing is unsupported');
lay(rule('0.0.0.0', 'timeout=100&weight=5'));
becomes('20880=5/5 20881=5/5', 'a rule of which a part has no effect');
like(told(), qr/parameters of configurators: timeout/, '... which is told');
lift(rule('0.0.0.0', 'timeout=100&weight=5'));


# a provider that came back before its old record went

$redis->provide(provider(20881, 'version=1.0.0&timestamp='
                                . ($now - 3_600_000)));
$redis->provide(provider(20881, "version=1.0.0&timestamp=$now"));
$redis->withdraw(provider(20881,
                          'version=1.0.0&application=shop&weight=40'));
becomes('20880=100/100 20881=100/1', 'a process that was started again');

$t->done;
