package Mesh::RedisRegistry;

# What tests of the registry in Redis have in common: an nginx that asks one,
# and what it knows of it.
#
#   my $t = Mesh::RedisRegistry->new;
#   $t->follow($redis->url . ' refresh=1s');      # "registry redis ..." and runs
#   $t->sees('com.example.A:1.0.0', [20880], 'registered');

use strict;
use warnings;

use parent 'Mesh::Test';

use Exporter ();
use Test::More ();
use Time::HiRes qw(sleep time);

use Mesh::Api;
use Mesh::Test qw(wait_for);

our @EXPORT = qw(provider wait_for);

sub import { goto &Exporter::import }


# provider(port, "parameters", interface): a URL as Dubbo has it

sub provider {
    my ($port, $parameters, $interface) = @_;

    $parameters //= 'version=1.0.0';
    $interface //= 'com.example.A';

    return "dubbo://127.0.0.1:$port/$interface?side=provider"
           . "&interface=$interface&$parameters";
}


# follow(text behind "registry redis", options of Mesh::Api's api_conf): the
# service com.example.A:1.0.0 is listed unless lists says otherwise

sub follow {
    my ($self, $registry, %o) = @_;

    $self->configure($registry, %o);
    $self->run;

    return $self;
}


sub configure {
    my ($self, $registry, %o) = @_;

    my $lists = delete $o{lists} // 'service com.example.A:1.0.0 { }';
    my $guard = delete $o{guard} // 'off';

    $self->write_conf(api_conf(%o,
        mesh => "state_path %%DIR%%/state;\nguard $guard;\n"
                . "registry redis $registry;\n$lists\n" . ($o{mesh} // '')));
}


# ports of a service's endpoints in order, those of suspects with a "?" behind
# them; undef: there is no such service

sub ports {
    my ($self, $service) = @_;

    my $r = api($self, 'GET', 'services/' . enc($service) . '/endpoints');
    return unless ($r->{status} // 0) == 200;

    return sort map {
        $_->{spec}{port} . ($_->{status}{suspect} ? '?' : '')
    } @{ $r->{json}{items} // $r->{json}{endpoints} // [] };
}


# ok: within seconds (10) it has these endpoints, and no others

sub sees {
    my ($self, $service, $ports, $name, $seconds) = @_;

    my $expected = join ' ', sort @$ports;
    my $found;

    wait_for {
        $found = join ' ', $self->ports($service);
        $found eq $expected;
    } $seconds // 10;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return Test::More::is($found, $expected, $name);
}


# ok: it has them for so many seconds, whatever happens meanwhile

sub keeps {
    my ($self, $service, $ports, $name, $seconds) = @_;

    my $expected = join ' ', sort @$ports;
    my $until = time + ($seconds // 1);
    my $found;

    while (time < $until) {
        $found = join ' ', $self->ports($service);
        last if $found ne $expected;
        sleep 0.02;
    }

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return Test::More::is($found, $expected, $name);
}


# has it try, and read, again at once

sub resync {
    my ($self, $name) = @_;
    return api($self, 'POST', 'registries/' . ($name // 'redis') . '/resync');
}


# what is known of the registry, as the API shows it

sub registry {
    my ($self, $name) = @_;
    return api($self, 'GET', 'registries/' . ($name // 'redis'))->{json};
}


# whether its last error, of those since so many, is this

sub troubled {
    my ($self, $regex, $errors) = @_;

    my $status = ($self->registry // {})->{status} // {};

    return ($status->{last_error} // '') =~ $regex
           && $status->{errors} > ($errors // 0);
}

sub errors { ($_[0]->registry // {})->{status}{errors} // 0 }


1;
